//! `hoop-gateway secrets`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use hoop_gateway::config::Config;
use hoop_gateway::secrets::{OperatorKey, rotate};
use hoop_gateway::{lock_data, open_store};

use crate::cli::SecretsCommand;

pub(crate) async fn run(command: SecretsCommand) -> anyhow::Result<ExitCode> {
    match command {
        SecretsCommand::NewKey { file } => new_key(&file)?,
        SecretsCommand::Rotate { new_key, sources } => change_key(&sources.load()?.config, &new_key).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new_key(file: &Path) -> anyhow::Result<()> {
    let key = OperatorKey::create(file)?;
    println!("{} has the operator's key {}", file.display(), key.id());
    eprintln!(
        "Set `secrets.key_file` to it, and keep a copy apart from the backups of the store: without it, the secrets are lost."
    );
    Ok(())
}

async fn change_key(config: &Config, file: &Path) -> anyhow::Result<()> {
    let _lock = lock_data(config)?;
    let old_file = config.secrets.key_file.as_deref().map(|file| config.path(file));
    let old_file = old_file.context("`secrets.key_file` does not say under which key the secrets are")?;
    let (old, new) = (OperatorKey::load(&old_file)?, OperatorKey::load(file)?);
    ensure!(old.id() != new.id(), "{} and {} have the same key", old_file.display(), file.display());
    let store = open_store(config).await?;
    let done = rotate(&store, &old, &new).await;
    store.close().await;
    let wrapped = done.with_context(|| format!("nothing was changed: all secrets are under the key {}", old.id()))?;
    println!("{wrapped} secrets are under the operator's key {} now", new.id());
    eprintln!(
        "Set `secrets.key_file` to {}, and start the gateway. Backups from before need the key in {}.",
        file.display(),
        old_file.display()
    );
    Ok(())
}
