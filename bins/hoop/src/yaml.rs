//! Files that people write, in YAML; JSON is YAML, too. What is wrong with one is told by file, line and key.

use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use crate::failure::Failure;

/// Reads a file; `-` is standard input.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    parse(&text(file)?, file)
}

/// The text of a file; `-` is standard input.
pub(crate) fn text(file: &Path) -> Result<String, Failure> {
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    Ok(read.with_context(|| format!("{} cannot be read", file.display()))?)
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, Failure> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let whole = error.without_snippet().to_string();
        wrong(file, line, whole.lines().next().unwrap_or_default())
    })
}

/// Reads a part of a file that was read as a value.
pub(crate) fn part<T: DeserializeOwned>(
    value: Spanned<serde_json::Value>,
    text: &str,
    file: &Path,
) -> Result<T, Failure> {
    let begin = value.referenced.line();
    serde_path_to_error::deserialize(value.value).map_err(|error| {
        let said = error.inner().to_string();
        let path = error.path().to_string();
        // Serde names a missing or unknown field in its text alone.
        let named = said.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let key = named.or_else(|| path.rsplit('.').next()).unwrap_or_default();
        let line = line_of(key, text, begin).unwrap_or(begin);
        let path = if path == "." { String::new() } else { format!("{path}: ") };
        wrong(file, line, &format!("{path}{said}"))
    })
}

fn wrong(file: &Path, line: u64, what: &str) -> Failure {
    Failure::new(1, format!("{} line {line}: {what}", file.display()))
}

/// The first line from `begin` on that has this key.
fn line_of(key: &str, text: &str, begin: u64) -> Option<u64> {
    let key = key.split('[').next().filter(|key| !key.is_empty())?;
    let has = |line: &str| {
        let mut rest = line;
        while let Some(at) = rest.find(key) {
            let (before, after) = (&rest[..at], &rest[at + key.len()..]);
            let begins = before.chars().last().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            if begins && after.trim_start_matches(['"', '\'']).trim_start().starts_with(':') {
                return true;
            }
            rest = after;
        }
        false
    };
    let lines = (1_u64..).zip(text.lines()).skip_while(|(number, _)| *number < begin);
    lines.filter(|(_, line)| has(line)).map(|(number, _)| number).next()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "it is only read")]
    struct Thing {
        name: String,
    }

    #[test]
    fn an_unknown_key_has_its_line() {
        let file = Path::new("company.yaml");
        let told = parse::<Thing>("name: x\n# why\ncolour: red\n", file).expect_err("unknown").to_string();
        assert!(told.starts_with("company.yaml line 3: ") && told.contains("colour"), "{told}");
        let text = "# first\n- name: x\n\n- name: y\n  colour: red\n";
        let things: Vec<Spanned<serde_json::Value>> = parse(text, file).expect("values");
        let told = things.into_iter().map(|thing| part::<Thing>(thing, text, file));
        let told: Vec<String> = told.filter_map(|read| read.err().map(|failure| failure.to_string())).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("company.yaml line 5: ") && told[0].contains("colour"), "{told:?}");
    }
}
