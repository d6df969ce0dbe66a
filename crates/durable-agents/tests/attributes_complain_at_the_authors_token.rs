//! Every case in `ui/` must fail to compile with the text beside it. `TRYBUILD=overwrite cargo test` writes the texts anew.

#[test]
fn attributes_complain_at_the_authors_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
