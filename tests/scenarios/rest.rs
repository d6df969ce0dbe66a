//! What HTTP clients get.

use agents_worker::rest::{MAX_DATA_BYTES, MAX_UPLOAD_BYTES, MAX_UPLOADS, RestAgent};
use agents_worker::room::ChatRoom;
use durable_agents::http::{Body, BodyError, HeaderValue, Method, Request, header};
use durable_agents::testing::{Collected, MemoryHost, Object};
use serde_json::json;

/// All scenarios of this file, for `$each!`.
macro_rules! rest_scenarios {
    ($each:ident) => {
        $each! {
            status_counts_the_open_connections
            json_is_received
            what_is_no_json_is_refused
            too_much_json_is_refused
            a_file_is_measured
            a_form_without_a_file_is_refused
            too_large_a_file_is_refused
            other_paths_and_methods_are_refused
            head_is_get_without_the_body
            a_preflight_is_answered_on_every_path
            every_answer_may_be_read_by_pages_of_any_origin
            the_queue_takes_the_digest_of_an_upload
            only_the_newest_uploads_are_remembered
            nothing_is_stored_before_the_first_upload
            a_room_is_asked_who_is_there
            a_room_that_cannot_be_is_not_found
        }
    };
}
pub(crate) use rest_scenarios;

const LARGE_SHA256: &str = "154b8ed3c2383ce429058768595935faf7851b5c38db2b1732594be1d88bc05a";

const MULTIPART: &str = "multipart/form-data; boundary=cut-here";

fn rest(host: &MemoryHost) -> Object {
    host.agent::<RestAgent>("api")
}

/// A form with one field; `disposition` is what follows `form-data`.
fn form(disposition: &str, content: &str) -> String {
    format!("--cut-here\r\nContent-Disposition: form-data{disposition}\r\n\r\n{content}\r\n--cut-here--\r\n")
}

fn refused(answer: &Collected, status: u16, error: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}");
    assert_eq!(answer.json(), json!({ "error": error }), "{what}");
}

pub(crate) fn status_counts_the_open_connections(host: &MemoryHost) {
    let rest = rest(host);
    let status = |connections: u32| {
        let answer = rest.get("/status?more=1");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({ "status": "ok", "connections": connections }));
    };
    status(0);
    let (mut first, mut second) = (rest.connect(""), rest.connect("?protocol=false"));
    status(2);
    first.close(1000, "");
    status(1);
    second.cut();
    status(0);
}

pub(crate) fn json_is_received(host: &MemoryHost) {
    let rest = rest(host);
    for body in ["{}", "null", "5", r#"{"a":[1,{"b":"c"}]}"#, " [ ] "] {
        let answer = rest.post("/data", "application/json", body);
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "received": true })), "{body}");
    }
    assert_eq!(rest.post("/data", "text/plain", "{}").status, 200, "the body counts, not what it is called");
}

pub(crate) fn what_is_no_json_is_refused(host: &MemoryHost) {
    let rest = rest(host);
    for body in ["", "hello", "{", "{} {}", "{'a':1}", "NaN"] {
        refused(&rest.post("/data", "application/json", body), 400, "The body is not JSON", body);
    }
    refused(&rest.post("/data", "application/json", vec![0xff, 0xfe]), 400, "The body is not JSON", "bytes");
    refused(&rest.request(Request::new(Method::POST, &rest.url("/data"), Body::Empty)), 400, "The body is not JSON", "none");
}

pub(crate) fn too_much_json_is_refused(host: &MemoryHost) {
    let rest = rest(host);
    let most = format!("\"{}\"", "x".repeat(MAX_DATA_BYTES - 2));
    assert_eq!(rest.post("/data", "application/json", most.clone()).status, 200);
    let too_large = "The body is larger than 1048576 bytes";
    refused(&rest.post("/data", "application/json", format!("{most} ")), 413, too_large, "one byte more");
    let pieces = futures::stream::repeat_with(|| Ok::<_, BodyError>(vec![b' '; 100_000].into()));
    refused(&rest.post("/data", "application/json", Body::stream(pieces)), 413, too_large, "an endless stream");
}

pub(crate) fn a_file_is_measured(host: &MemoryHost) {
    let rest = rest(host);
    for (disposition, content, filename) in [
        (r#"; name="file"; filename="notes.txt""#, "hello", "notes.txt"),
        (r#"; name="file"; filename="a b (1).bin""#, "", "a b (1).bin"),
        (r#"; name="file"; filename="ü.txt""#, "zwölf", "ü.txt"),
    ] {
        let answer = rest.post("/upload", MULTIPART, form(disposition, content));
        assert_eq!(answer.status, 200, "{disposition}");
        assert_eq!(answer.json(), json!({ "filename": filename, "size": content.len() }), "{disposition}");
    }
}

pub(crate) fn a_form_without_a_file_is_refused(host: &MemoryHost) {
    let rest = rest(host);
    let missing = r#"Field "file" is missing"#;
    let no_file = r#"Field "file" is not a file"#;
    let no_form = "The body is not a form";
    for (content_type, body, error) in [
        (MULTIPART, form(r#"; name="other"; filename="a.txt""#, "hello"), missing),
        (MULTIPART, "--cut-here--\r\n".to_owned(), missing),
        (MULTIPART, form(r#"; name="file""#, "hello"), no_file),
        ("application/x-www-form-urlencoded", "file=hello".to_owned(), no_file),
        ("application/x-www-form-urlencoded", "other=hello".to_owned(), missing),
        (MULTIPART, "hello".to_owned(), no_form),
        ("multipart/form-data", form(r#"; name="file"; filename="a.txt""#, "hello"), no_form),
        ("text/plain", "hello".to_owned(), no_form),
        ("application/json", "{}".to_owned(), no_form),
    ] {
        refused(&rest.post("/upload", content_type, body.clone()), 400, error, &format!("{content_type} {body}"));
    }
}

pub(crate) fn too_large_a_file_is_refused(host: &MemoryHost) {
    let rest = rest(host);
    let file = |size| form(r#"; name="file"; filename="big""#, &"x".repeat(size));
    assert_eq!(rest.post("/upload", MULTIPART, file(MAX_UPLOAD_BYTES)).json()["size"], MAX_UPLOAD_BYTES);
    let too_large = "The body is larger than 16777216 bytes";
    refused(&rest.post("/upload", MULTIPART, file(MAX_UPLOAD_BYTES + 1)), 413, too_large, "one byte more");
    let announced = Request::new(Method::POST, &rest.url("/upload"), "")
        .with_header(header::CONTENT_TYPE, HeaderValue::from_static(MULTIPART))
        .with_header(header::CONTENT_LENGTH, HeaderValue::from_static("99999999999"));
    refused(&rest.request(announced), 413, too_large, "announced");
}

pub(crate) fn other_paths_and_methods_are_refused(host: &MemoryHost) {
    let rest = rest(host);
    for (method, path, allow) in [
        (Method::GET, "", None),
        (Method::GET, "/", None),
        (Method::GET, "/other", None),
        (Method::GET, "/status/more", None),
        (Method::POST, "/other", None),
        (Method::POST, "/status", Some("GET, HEAD, OPTIONS")),
        (Method::DELETE, "/status", Some("GET, HEAD, OPTIONS")),
        (Method::GET, "/data", Some("POST, OPTIONS")),
        (Method::PUT, "/data", Some("POST, OPTIONS")),
        (Method::GET, "/upload", Some("POST, OPTIONS")),
        (Method::PUT, "/upload", Some("POST, OPTIONS")),
    ] {
        let answer = rest.request(Request::new(method.clone(), &rest.url(path), "{}"));
        let (status, error) = if allow.is_some() { (405, "Method not allowed") } else { (404, "Not found") };
        refused(&answer, status, error, &format!("{method} {path}"));
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

pub(crate) fn head_is_get_without_the_body(host: &MemoryHost) {
    host.bind::<ChatRoom>();
    let rest = rest(host);
    for (path, status) in [("/status", 200), ("/uploads", 200), ("/rooms/den", 200), ("/other", 404), ("/data", 405)] {
        let [mut get, head] =
            [Method::GET, Method::HEAD].map(|method| rest.request(Request::new(method, &rest.url(path), Body::Empty)));
        assert_eq!((head.status.as_u16(), head.text()), (status, ""), "{path}");
        // The platform says of a body how long it is.
        get.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(get.body.len()));
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{path}");
    }
}

pub(crate) fn a_preflight_is_answered_on_every_path(host: &MemoryHost) {
    let rest = rest(host);
    for path in ["", "/status", "/data", "/upload", "/other"] {
        let preflight = Request::new(Method::OPTIONS, &rest.url(path), Body::Empty)
            .with_header(header::ORIGIN, HeaderValue::from_static("https://elsewhere.example"));
        let answer = rest.request(preflight);
        assert_eq!((answer.status.as_u16(), answer.text()), (204, ""), "{path}");
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-allow-headers", "Authorization, Content-Type"),
            ("access-control-max-age", "86400"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
}

pub(crate) fn every_answer_may_be_read_by_pages_of_any_origin(host: &MemoryHost) {
    let rest = rest(host);
    for answer in [
        rest.get("/status"),
        rest.get("/data"),
        rest.get("/other"),
        rest.post("/data", "application/json", "{}"),
        rest.post("/data", "application/json", "no JSON"),
        rest.post("/upload", MULTIPART, form(r#"; name="file"; filename="a""#, "")),
        rest.post("/upload", "text/plain", ""),
    ] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    }
}

pub(crate) fn the_queue_takes_the_digest_of_an_upload(host: &MemoryHost) {
    let rest = rest(host);
    assert_eq!(rest.get("/uploads").json(), json!({ "uploads": [] }));
    let uploaded_at = host.now_ms();
    // Over the size of a row, so that it takes several.
    let large = "x".repeat(1024 * 1024 + 1);
    for (filename, content) in [("notes.txt", "hello"), ("large.txt", large.as_str()), ("empty", "")] {
        let disposition = format!(r#"; name="file"; filename="{filename}""#);
        assert_eq!(rest.post("/upload", MULTIPART, form(&disposition, content)).status, 200);
    }
    host.run_until_idle();
    let upload = |filename: &str, size: usize, sha256: &str| json!({ "filename": filename, "size": size, "uploadedAt": uploaded_at, "sha256": sha256 });
    assert_eq!(
        rest.get("/uploads").json(),
        json!({ "uploads": [
            upload("empty", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            upload("large.txt", 1024 * 1024 + 1, LARGE_SHA256),
            upload("notes.txt", 5, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ] })
    );
    assert_eq!(rest.sql("SELECT COUNT(*) FROM rest_upload_parts", ()).one::<u64>().expect("a table"), 0);
}

pub(crate) fn only_the_newest_uploads_are_remembered(host: &MemoryHost) {
    let rest = rest(host);
    for number in 0..=MAX_UPLOADS {
        let disposition = format!(r#"; name="file"; filename="{number}""#);
        assert_eq!(rest.post("/upload", MULTIPART, form(&disposition, "x")).status, 200);
    }
    let answer = rest.get("/uploads").json();
    let uploads = answer["uploads"].as_array().expect("a list");
    assert_eq!(uploads.len() as u64, MAX_UPLOADS);
    assert_eq!((&uploads[0]["filename"], &uploads[99]["filename"]), (&json!("100"), &json!("1")));
}

pub(crate) fn nothing_is_stored_before_the_first_upload(host: &MemoryHost) {
    let rest = rest(host);
    assert_eq!(rest.get("/status").status, 200);
    assert_eq!(rest.get("/uploads").json(), json!({ "uploads": [] }));
    refused(&rest.get("/nowhere"), 404, "Not found", "no path");
    refused(&rest.post("/upload", MULTIPART, form(r#"; name="text""#, "x")), 400, "Field \"file\" is missing", "no file");
    let tables: u32 = rest.sql("SELECT count(*) FROM sqlite_master", ()).one().expect("SQL");
    assert_eq!(tables, 0);
    assert_eq!(rest.post("/upload", MULTIPART, form(r#"; name="file"; filename="a""#, "x")).status, 200);
    assert_eq!(rest.get("/uploads").json()["uploads"][0]["filename"], "a");
}

pub(crate) fn a_room_is_asked_who_is_there(host: &MemoryHost) {
    let room = host.agent::<ChatRoom>("den");
    let rest = rest(host);
    let answer = |guests: u32, users: u32| json!({ "room": "den", "guests": guests, "users": users });
    assert_eq!(rest.get("/rooms/den").json(), answer(0, 0));
    let mut ada = room.connect("?username=ada");
    let _twin = room.connect("?username=ada");
    let _bob = room.connect("?username=bob");
    assert_eq!(rest.get("/rooms/den").json(), answer(3, 2));
    ada.close(1000, "");
    assert_eq!(rest.get("/rooms/den").json(), answer(2, 2));
}

pub(crate) fn a_room_that_cannot_be_is_not_found(host: &MemoryHost) {
    host.bind::<ChatRoom>();
    let rest = rest(host);
    for path in ["/rooms", "/rooms/", "/rooms/a/b"] {
        refused(&rest.get(path), 404, "Not found", path);
    }
    let answer = rest.post("/rooms/den", "text/plain", "");
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}
