//! Every setting with its default, for people.

use std::fmt::Write as _;

use toml::Table;

use super::{Config, SETTINGS};

/// What stands above the tables.
const HEAD: &str = "# Settings of the gateway

This page is what `hoop-gateway config reference` prints; `make reference` writes it. A setting has a place in the file of
`--config`, an environment variable (`HOOP_` and its path in upper case, such as `HOOP_LIMITS_DRAIN`) and a flag (`--set
limits.drain=1m`); a later one wins. `hoop-gateway config show --origin` tells each value with where it came from, and `config
check` what is wrong. A time is a whole number with `ms`, `s`, `m`, `h` or `d` behind it.
";

/// Every setting with its default and the values that it may have, a table in Markdown for each section of the file.
pub fn reference() -> String {
    let defaults = Table::try_from(Config::default()).expect("defaults are values of TOML");
    let (mut text, mut section) = (HEAD.to_owned(), None);
    for setting in SETTINGS {
        let (of, key) = setting.path.rsplit_once('.').unwrap_or(("", setting.path));
        if section != Some(of) {
            section = Some(of);
            let heading = if of.is_empty() { String::new() } else { format!("\n## `[{of}]`\n") };
            text += &format!("{heading}\n| setting | unless said | values | what it is |\n| --- | --- | --- | --- |\n");
        }
        let default = setting.find_in(&defaults).map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
        let _ = writeln!(text, "| `{key}` | {default} | {} | {} |", setting.kind, setting.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_of_this_code() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = std::fs::read_to_string(file).expect("the page is there");
        assert!(page == reference(), "docs/configuration.md is stale: run `make reference`");
    }
}
