//! The stock gateway: argument parsing and wiring only.

mod cli;
mod config;
mod secrets;
mod start;
mod store;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use hoop_core::SystemClock;
use hoop_gateway::auth::{Passwords, first_admin};
use hoop_gateway::{open_store, setup_token};

use cli::{Cli, Command, ConfigCommand, FirstAdmin};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match hoop_stock::runtime().map_err(Into::into).and_then(|runtime| runtime.block_on(run(command))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hoop-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Start(arguments) => start::start(arguments).await,
        Command::Config(ConfigCommand::Check(sources)) => config::check(&sources),
        Command::Config(ConfigCommand::Show { sources, origin }) => config::show(&sources, origin),
        Command::Config(ConfigCommand::Reference) => {
            print!("{}", hoop_gateway::config::reference());
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", hoop_gateway::api::openapi());
            Ok(ExitCode::SUCCESS)
        }
        Command::FirstAdmin(arguments) => make_first_admin(arguments).await,
        Command::SetupToken(sources) => {
            println!("{}", setup_token(&sources.load()?.config)?.expose());
            eprintln!("The page /setup of this gateway takes it for as long as there is no user.");
            Ok(ExitCode::SUCCESS)
        }
        Command::Store(command) => store::run(command).await,
        Command::Secrets(command) => secrets::run(command).await,
    }
}

/// Whoever can start the gateway can make its first administrator; a running gateway need not be stopped for it.
async fn make_first_admin(arguments: FirstAdmin) -> anyhow::Result<ExitCode> {
    let config = arguments.sources.load()?.config;
    let store = open_store(&config).await?;
    let made = first_admin(&store, &Passwords::new(1)?, &SystemClock, &arguments.name, true).await;
    store.close().await;
    let made = made.context("the first administrator cannot be made")?;
    let made = made.context("there are users already; sign in as an administrator to make others")?;
    println!("user      {}\npassword  {}", made.name, made.password.expose());
    eprintln!("The password is shown this once, and is good for nothing but to set another.");
    Ok(ExitCode::SUCCESS)
}
