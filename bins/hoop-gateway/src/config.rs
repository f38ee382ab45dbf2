//! `hoop-gateway config`.

use std::process::ExitCode;

use hoop_gateway::config::{Loaded, SETTINGS};
use toml::{Table, Value};

use crate::cli::Sources;

/// Says whether the configuration is valid.
pub(crate) fn check(sources: &Sources) -> anyhow::Result<ExitCode> {
    sources.load()?;
    println!("the configuration is valid");
    Ok(ExitCode::SUCCESS)
}

/// Prints the merged configuration: as a file, or a line for each setting with where it came from.
pub(crate) fn show(sources: &Sources, origin: bool) -> anyhow::Result<ExitCode> {
    let loaded = sources.load()?;
    if origin {
        print!("{}", with_origins(&loaded)?);
    } else {
        print!("{}", toml::to_string(&loaded.config)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn with_origins(loaded: &Loaded) -> anyhow::Result<String> {
    let table = Table::try_from(&loaded.config)?;
    let lines: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let value = setting.find_in(&table).map_or_else(|| "(unset)".to_owned(), Value::to_string);
            (format!("{} = {value}", setting.path), loaded.origin(setting.path))
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    Ok(lines.iter().map(|(line, origin)| format!("{line:width$}  # {origin}\n")).collect())
}

#[cfg(test)]
mod tests {
    use hoop_gateway::config::Loader;

    use super::*;

    #[test]
    fn every_setting_has_its_origin() {
        let flag = ("limits.drain".to_owned(), "1m".to_owned());
        let loaded = Loader::new().text("g.toml", "data = '/srv/hoop'").flags([flag]).load().expect("valid");
        let text = with_origins(&loaded).expect("a table");
        let line = |path: &str| text.lines().find(|line| line.starts_with(path)).unwrap_or_else(|| panic!("no {path}"));
        assert!(line("data = \"/srv/hoop\"").ends_with("  # g.toml:1"));
        assert!(line("limits.drain = \"1m\"").ends_with("  # flag"));
        assert!(line("tls.key = (unset)").ends_with("  # default"));
        assert_eq!(text.lines().count(), SETTINGS.len());
    }
}
