//! The user's own files: the contexts, and the tokens beside them.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::failure::Failure;
use crate::place::write_private;

/// `config.toml`: the gateways that this user knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The context that is used unless another is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A gateway, and how it is recognized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Base URL of the API.
    pub(crate) url: String,
    /// Who signed in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// PEM file with the authorities that its certificate is verified against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The certificate that it must show, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// Whether tokens may go to another machine without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) allow_http: bool,
    /// The key that its recordings are verified with, as it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recording_key: Option<String>,
}

/// A token, and the one gateway that it is for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    /// The gateway's URL: a context that is pointed elsewhere has no token any more.
    pub(crate) url: String,
    pub(crate) token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// The folder of both.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: Option<PathBuf>,
}

type Tokens = BTreeMap<String, Token>;

impl Files {
    /// `$XDG_CONFIG_HOME/hoop`, or `~/.config/hoop`.
    pub(crate) fn usual(variable: impl Fn(&str) -> Option<String>) -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        Self { folder: base.map(|base| base.join("hoop")) }
    }

    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// Where the contexts are.
    pub(crate) fn config_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.folder()?.join("config.toml"))
    }

    pub(crate) fn config(&self) -> Result<Config, Failure> {
        // Without a home there is nothing to read, which only matters to who wants to write.
        self.folder.as_ref().map_or_else(|| Ok(Config::default()), |folder| read(&folder.join("config.toml")))
    }

    pub(crate) fn write_config(&self, config: &Config) -> Result<(), Failure> {
        self.make_folder()?;
        write_private(&self.config_path()?, toml::to_string(config)?.as_bytes())
    }

    /// The token of a context, if it is for this URL.
    pub(crate) fn token(&self, context: &str, url: &str) -> Result<Option<Token>, Failure> {
        Ok(self.tokens()?.remove(context).filter(|token| token.url == url))
    }

    /// Keeps the token of a context, or forgets it.
    pub(crate) fn set_token(&self, context: &str, token: Option<Token>) -> Result<(), Failure> {
        let mut tokens = self.tokens()?;
        match token {
            Some(token) => drop(tokens.insert(context.to_owned(), token)),
            None if tokens.remove(context).is_none() => return Ok(()),
            None => {}
        }
        self.make_folder()?;
        write_private(&self.folder()?.join("tokens.toml"), toml::to_string(&tokens)?.as_bytes())
    }

    fn tokens(&self) -> Result<Tokens, Failure> {
        let Some(folder) = &self.folder else { return Ok(Tokens::new()) };
        let path = folder.join("tokens.toml");
        if let Ok(found) = std::fs::metadata(&path)
            && found.permissions().mode() & 0o077 != 0
        {
            let text = format!("others may read {}, which holds tokens", path.display());
            return Err(Failure::new(1, text).hint(format!("chmod 600 {}, and sign in again", path.display())));
        }
        read(&path)
    }

    fn folder(&self) -> Result<&Path, Failure> {
        let none = || Failure::new(1, "neither XDG_CONFIG_HOME nor HOME says where settings are kept");
        self.folder.as_deref().ok_or_else(none)
    }

    fn make_folder(&self) -> Result<(), Failure> {
        let folder = self.folder()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        Ok(made.with_context(|| format!("the folder {} cannot be made", folder.display()))?)
    }
}

/// Reads a file; one that is not there is empty.
fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display()))?,
    };
    // The text of the error would show the line, and the line may be a token.
    let named = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Failure::new(1, format!("{} line {line}: {}", path.display(), error.message()))
    };
    toml::from_str(&text).map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(url: &str) -> Token {
        Token { url: url.to_owned(), token: "planted".to_owned(), expires_at: None }
    }

    #[test]
    fn what_is_written_is_read_and_nobody_elses() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::at(&folder.path().join("hoop"));
        assert_eq!(files.config().expect("empty"), Config::default());
        let context = Context {
            url: "https://gw".to_owned(),
            user: None,
            ca_file: None,
            fingerprint: None,
            allow_http: false,
            recording_key: None,
        };
        let config = Config { current: Some("gw".to_owned()), contexts: [("gw".to_owned(), context)].into() };
        files.write_config(&config).expect("written");
        assert_eq!(files.config().expect("read"), config);
        files.set_token("gw", Some(token("https://gw"))).expect("written");
        assert!(files.token("gw", "https://gw").expect("read").is_some());
        assert!(files.token("gw", "https://elsewhere").expect("read").is_none(), "a token is for one gateway");
        for name in ["config.toml", "tokens.toml"] {
            let mode = std::fs::metadata(folder.path().join("hoop").join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        files.set_token("gw", None).expect("forgotten");
        assert!(files.token("gw", "https://gw").expect("read").is_none());
    }

    #[test]
    fn tokens_that_others_can_read_are_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::at(folder.path());
        files.set_token("gw", Some(token("https://gw"))).expect("written");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path().join("tokens.toml"), open).expect("an own file");
        let refused = files.token("gw", "https://gw").err().expect("refused");
        assert!(refused.to_string().contains("others may read"), "{refused}");
    }

    #[test]
    fn a_wrong_file_is_told_by_line_and_without_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::at(folder.path());
        std::fs::write(folder.path().join("config.toml"), "current = \"a\"\n\ncolour = \"planted\"\n")
            .expect("written");
        let told = files.config().expect_err("an unknown key").to_string();
        assert!(told.contains("line 3") && told.contains("colour") && !told.contains("planted"), "{told}");
    }
}
