//! `hoop-gateway store`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use hoop_gateway::config::Config;
use hoop_gateway::store::backup::{self, Counts};
use hoop_gateway::store::{SqlStore, StoreUrl};
use hoop_gateway::{lock_data, open_store};

use crate::cli::{Sources, StoreCommand};

pub(crate) async fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Migrate(sources) => migrate(&config(&sources)?).await?,
        StoreCommand::Check(sources) => check(&config(&sources)?.store_url()).await?,
        StoreCommand::Backup { file, sources } => back_up(&config(&sources)?.store_url(), &file).await?,
        StoreCommand::Restore { file, sources } => restore(&config(&sources)?, &file).await?,
        StoreCommand::Move { to, sources } => move_to(config(&sources)?, to).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn config(sources: &Sources) -> anyhow::Result<Config> {
    Ok(sources.load()?.config)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let checked = store.check().await;
    store.close().await;
    println!("{} has version {} of the schema", config.store_url(), checked?.schema);
    Ok(())
}

async fn check(url: &StoreUrl) -> anyhow::Result<()> {
    let store = SqlStore::open_as_is(url.expose()).await.with_context(|| format!("{url} cannot be opened"))?;
    let checked = store.check().await;
    store.close().await;
    let checked = checked.with_context(|| format!("{url} cannot be checked"))?;
    for problem in &checked.problems {
        eprintln!("{problem}");
    }
    let (schema, newest, problems) = (checked.schema, checked.newest, checked.problems.len());
    ensure!(problems == 0, "{url} is damaged: {problems} problems");
    ensure!(
        schema == newest,
        "{url} has version {schema} of the schema, and this gateway works with {newest}; bring it up to date: hoop-gateway store migrate"
    );
    println!("{url} is whole, with version {schema} of the schema");
    Ok(())
}

async fn back_up(url: &StoreUrl, file: &Path) -> anyhow::Result<()> {
    let store = SqlStore::open_as_is(url.expose()).await.with_context(|| format!("{url} cannot be opened"))?;
    let done = backup::to_file(&store, file).await;
    store.close().await;
    let counts = done.with_context(|| format!("{url} cannot be written to {}", file.display()))?;
    print(&counts);
    eprintln!(
        "It has hashes of passwords and tokens in it. Recordings and keys are in the data folder, and not in it."
    );
    Ok(())
}

async fn restore(config: &Config, file: &Path) -> anyhow::Result<()> {
    let _lock = lock_data(config)?;
    let url = config.store_url();
    let done = backup::from_file(&url, file).await;
    print(&done.with_context(|| format!("{} cannot be restored to {url}", file.display()))?);
    Ok(())
}

async fn move_to(mut config: Config, to: StoreUrl) -> anyhow::Result<()> {
    let _lock = lock_data(&config)?;
    let from = config.store_url();
    config.store.url = to.clone();
    let store = SqlStore::open_as_is(from.expose()).await.with_context(|| format!("{from} cannot be opened"))?;
    let done = store.copy_to(config.store_url().expose()).await;
    store.close().await;
    print(&done.with_context(|| format!("{from} cannot be moved to {to}"))?);
    eprintln!("Everything is in {to}. Set `store.url` to it, and start the gateway; {from} is left as it was.");
    Ok(())
}

/// How many rows there are of each table.
fn print(counts: &Counts) {
    for (table, count) in counts {
        println!("{table:12} {count}");
    }
}
