use proptest::prelude::*;

use super::*;

/// Unix seconds of a date and time.
fn at(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> u64 {
    u64::try_from(day_number(year, month, day) * DAY_S + hour * 3_600 + minute * 60 + second).expect("after 1970")
}

fn next(text: &str, now_s: u64) -> Result<u64, CronError> {
    Cron::parse(text)?.next_after(now_s)
}

#[test]
fn days_have_numbers_and_numbers_have_days() {
    for (number, date) in [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (11_016, (2000, 2, 29)), (19_675, (2023, 11, 14))] {
        assert_eq!(date_of(number), date);
        assert_eq!(day_number(date.0, date.1, date.2), number);
    }
    for number in -200_000..200_000 {
        let (year, month, day) = date_of(number);
        assert_eq!(day_number(year, month, day), number);
        assert!((1..=days_in_month(year, month)).contains(&day));
    }
}

#[test]
fn c161_the_next_match_is_strictly_after_this_second() {
    // A Tuesday, 22:13:20.
    let now = at(2023, 11, 14, 22, 13, 20);
    for (text, expected) in [
        ("* * * * *", at(2023, 11, 14, 22, 14, 0)),
        ("* * * * * *", now + 1),
        ("20 13 22 * * *", at(2023, 11, 15, 22, 13, 20)),
        ("*/5 * * * *", at(2023, 11, 14, 22, 15, 0)),
        ("7-59/20 * * * *", at(2023, 11, 14, 22, 27, 0)),
        ("0 0 * * *", at(2023, 11, 15, 0, 0, 0)),
        ("0  9  *  *  mon-fri", at(2023, 11, 15, 9, 0, 0)),
        ("0 9 * JAN,Mar Sat", at(2024, 1, 6, 9, 0, 0)),
        ("0 0 29 2 *", at(2024, 2, 29, 0, 0, 0)),
        ("30 12 1 1 *", at(2024, 1, 1, 12, 30, 0)),
        ("59 23 31 12 *", at(2023, 12, 31, 23, 59, 0)),
        ("0 0 * * 7", at(2023, 11, 19, 0, 0, 0)),
        ("0 0 * * 0", at(2023, 11, 19, 0, 0, 0)),
        ("0 0 * * 6-7", at(2023, 11, 18, 0, 0, 0)),
        ("0 0 * * 7-1", at(2023, 11, 19, 0, 0, 0)),
        ("0 0 * * sun-mon", at(2023, 11, 19, 0, 0, 0)),
        // A single value with a step is that value, and what follows a number counts for nothing.
        ("30/5 * * * *", at(2023, 11, 14, 22, 30, 0)),
        ("30th * * * *", at(2023, 11, 14, 22, 30, 0)),
        ("30/0 * * * *", at(2023, 11, 14, 22, 30, 0)),
        ("15-30th/20 * * * *", at(2023, 11, 14, 22, 15, 0)),
        // What is no range to the letter is its first number.
        ("30-40-50 * * * *", at(2023, 11, 14, 22, 30, 0)),
        ("5-45/10x * * * *", at(2023, 11, 14, 23, 5, 0)),
        ("5-45/ * * * *", at(2023, 11, 14, 23, 5, 0)),
        ("5-45/10/10 * * * *", at(2023, 11, 14, 23, 5, 0)),
        ("5-4.5 * * * *", at(2023, 11, 14, 23, 5, 0)),
        ("5-* * * * *", at(2023, 11, 14, 23, 5, 0)),
        ("0 0 1 */100 *", at(2024, 1, 1, 0, 0, 0)),
        ("@yearly", at(2024, 1, 1, 0, 0, 0)),
        ("@annually", at(2024, 1, 1, 0, 0, 0)),
        ("@monthly", at(2023, 12, 1, 0, 0, 0)),
        ("@weekly", at(2023, 11, 19, 0, 0, 0)),
        (" @Daily ", at(2023, 11, 15, 0, 0, 0)),
        ("@hourly", at(2023, 11, 14, 23, 0, 0)),
        ("@minutely", at(2023, 11, 14, 22, 14, 0)),
    ] {
        assert_eq!(next(text, now), Ok(expected), "{text}");
    }
}

#[test]
fn c161_a_day_matches_either_way_if_both_are_restricted() {
    // Friday the 13th of October 2023 is one match, not two.
    let mut now = at(2023, 10, 1, 0, 0, 0);
    let mut days = Vec::new();
    for _ in 0..7 {
        now = next("0 0 13 * 5", now).expect("a match");
        days.push(date_of(i64::try_from(now).expect("small") / DAY_S));
    }
    let october = [6, 13, 20, 27].map(|day| (2023, 10, day));
    let november = [3, 10, 13].map(|day| (2023, 11, day));
    assert_eq!(days, [&october[..], &november[..]].concat());
    // A field that lists all its values restricts nothing.
    let all_days = next("0 0 1-31 * 5", at(2023, 10, 1, 0, 0, 0));
    assert_eq!(all_days, Ok(at(2023, 10, 6, 0, 0, 0)));
    assert_eq!(next("0 0 13 * 0-6", at(2023, 10, 1, 0, 0, 0)), Ok(at(2023, 10, 13, 0, 0, 0)));
}

#[test]
fn c161_sunday_begins_a_range_and_ends_one() {
    let sunday = at(2023, 11, 12, 0, 0, 0);
    for (field, expected) in [
        ("sun", &[0][..]),
        ("mon-sun", &[0, 1, 2, 3, 4, 5, 6]),
        ("1-7", &[0, 1, 2, 3, 4, 5, 6]),
        ("0-sun", &[0, 1, 2, 3, 4, 5, 6]),
        ("0-7", &[0, 1, 2, 3, 4, 5, 6]),
        ("4-sun", &[0, 4, 5, 6]),
        ("5-7", &[0, 5, 6]),
        ("fri-7", &[0, 5, 6]),
        ("FRI-Sun", &[0, 5, 6]),
        ("sat-sun", &[0, 6]),
        ("sun-sat", &[0, 1, 2, 3, 4, 5, 6]),
        ("7-6", &[0, 1, 2, 3, 4, 5, 6]),
        ("sun-2", &[0, 1, 2]),
        ("7-tue", &[0, 1, 2]),
        ("sun-0", &[0]),
        ("7-0", &[0]),
        // Sunday alone, not the week between two of them.
        ("sun-sun", &[0]),
        ("sun-7", &[0]),
        ("7-sun", &[0]),
        ("7-7", &[0]),
        ("mon-sun/2", &[0, 1, 3, 5]),
        ("sun-sat/2", &[0, 2, 4, 6]),
        ("tue-sun/3", &[2, 5]),
        ("wed-sun/4", &[0, 3]),
        ("sun-7/2", &[0]),
        ("sat-sun,wed", &[0, 3, 6]),
    ] {
        let cron = Cron::parse(&format!("0 0 * * {field}")).expect(field);
        let days: Vec<u64> =
            (0..7).filter(|day| cron.next_after(sunday + day * 86_400 - 1) == Ok(sunday + day * 86_400)).collect();
        assert_eq!(days, expected, "{field}");
    }
}

#[test]
fn c161_what_is_no_cron_text_says_why() {
    for (text, message) in [
        ("", "Invalid cron expression: expected 5 or 6 elements."),
        ("* * * *", "Invalid cron expression: expected 5 or 6 elements."),
        ("* * * * * * *", "Invalid cron expression: expected 5 or 6 elements."),
        ("@midnight", "Invalid cron expression: expected 5 or 6 elements."),
        ("60 * * * *", "Invalid cron expression: minute has 60, which is not in 0-59"),
        ("* 24 * * *", "Invalid cron expression: hour has 24, which is not in 0-23"),
        ("* * 0 * *", "Invalid cron expression: day has 0, which is not in 1-31"),
        ("* * * 13 *", "Invalid cron expression: month has 13, which is not in 1-12"),
        ("* * * * 8", "Invalid cron expression: weekday has 8, which is not in 0-7"),
        ("* * * * 99999999999999999999999", "Invalid cron expression: weekday has 18446744073709551615, which is not in 0-7"),
        ("*/0 * * * *", r#"Invalid cron expression: minute has "*/0", which is not understood"#),
        ("*/5x * * * *", r#"Invalid cron expression: minute has "*/5x", which is not understood"#),
        ("*-5 * * * *", r#"Invalid cron expression: minute has "*-5", which is not understood"#),
        ("* * * * mon/2", r#"Invalid cron expression: weekday has "mon/2", which is not understood"#),
        ("? * * * *", r#"Invalid cron expression: minute has "?", which is not understood"#),
        ("* * L * *", r#"Invalid cron expression: day has "L", which is not understood"#),
        ("1,,2 * * * *", r#"Invalid cron expression: minute has "", which is not understood"#),
        ("-5 * * * *", r#"Invalid cron expression: minute has "-5", which is not understood"#),
        ("mon * * * *", r#"Invalid cron expression: minute has "mon", which is not understood"#),
        ("30-10 * * * *", r#"Invalid cron expression: minute has a range that ends before it starts, "30-10""#),
        ("* * * * fri-mon", r#"Invalid cron expression: weekday has a range that ends before it starts, "fri-mon""#),
        ("* * * * sat-0", r#"Invalid cron expression: weekday has a range that ends before it starts, "sat-0""#),
        ("0 0 30 2 *", "No valid next date was found."),
        ("0 0 31 4,6,9,11 *", "No valid next date was found."),
    ] {
        let error = next(text, at(2023, 11, 14, 0, 0, 0)).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn c161_nobody_looks_further_than_five_years() {
    // There is no 29th of February from 2096 to 2104.
    assert_eq!(next("0 0 29 2 *", at(2096, 3, 1, 0, 0, 0)), Err(CronError::Never));
    assert_eq!(next("0 0 29 2 *", at(2099, 3, 1, 0, 0, 0)), Ok(at(2104, 2, 29, 0, 0, 0)));
}

/// The same by asking every second.
fn naive(cron: &Cron, now_s: u64, limit_s: u64) -> Option<u64> {
    (now_s + 1..=now_s + limit_s).find(|&second| {
        let second = i64::try_from(second).expect("small");
        let (day, time) = (second.div_euclid(DAY_S), second.rem_euclid(DAY_S));
        let (_, month, day_of_month) = date_of(day);
        let contains = |bits: u64, number: i64| bits & (1 << number) != 0;
        let weekday = (day + 4).rem_euclid(7);
        let day_fits = match (cron.days == ALL_DAYS, cron.weekdays == ALL_WEEKDAYS) {
            (false, false) => contains(cron.days, day_of_month) || contains(cron.weekdays, weekday),
            _ => contains(cron.days, day_of_month) && contains(cron.weekdays, weekday),
        };
        day_fits
            && contains(cron.months, month)
            && contains(cron.hours, time / 3_600)
            && contains(cron.minutes, time / 60 % 60)
            && contains(cron.seconds, time % 60)
    })
}

/// One field: everything, a value, a list, a range or a step.
fn a_field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let value = move || min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => value().prop_map(|value| value.to_string()),
        1 => (value(), value()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (value(), value()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1_u8..20).prop_map(|step| format!("*/{step}")),
        1 => (value(), value(), 1_u8..20).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn c161_the_next_match_is_what_asking_every_second_finds(
        second in a_field(0, 59), minute in a_field(0, 59), hour in a_field(0, 23),
        day in a_field(1, 31), month in a_field(1, 12), weekday in a_field(0, 7),
        now_s in 1_600_000_000_u64..2_000_000_000,
    ) {
        const LIMIT_S: u64 = 10 * 86_400;
        let text = format!("{second} {minute} {hour} {day} {month} {weekday}");
        let cron = Cron::parse(&text).expect("a cron text");
        let found = cron.next_after(now_s).ok().filter(|next| *next <= now_s + LIMIT_S);
        prop_assert_eq!(found, naive(&cron, now_s, LIMIT_S), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", fields in "[0-9a-zA-Z*/,@ -]{0,40}") {
        for text in [text, fields] {
            if let Ok(cron) = Cron::parse(&text) {
                let _ = cron.next_after(1_700_000_000);
            }
        }
    }
}
