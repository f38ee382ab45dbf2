//! What a `hoop dev` says.

use std::path::Path;

use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::Ready;
use crate::failure::Failure;
use crate::output::{Format, has_colour};

/// Logs go to a file in the folder: the terminal is for people.
pub(crate) fn log_to(dir: &Path) -> Result<(), Failure> {
    let logs = dir.join("logs");
    std::fs::create_dir_all(&logs)?;
    let file = std::fs::File::options().create(true).append(true).open(logs.join("hoop.log"))?;
    tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(file).init();
    Ok(())
}

/// A part's logs go to standard error, which is a file.
pub(crate) fn log_to_stderr() {
    tracing_subscriber::fmt().json().with_env_filter(filter()).with_writer(std::io::stderr).init();
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("HOOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Says that everything runs.
pub(crate) fn ready(ready: &Ready, format: Format) {
    match format {
        Format::Table => people(ready),
        Format::Json | Format::Ndjson => println!("{}", line(ready)),
    }
}

fn line(ready: &Ready) -> serde_json::Value {
    let roles = ready.roles.iter().map(
        |role| json!({ "name": role.name, "url": role.url, "tls_url": role.tls_url, "target_url": role.target_url }),
    );
    json!({
        "api": format!("http://{}", ready.addresses.http),
        "grpc": ready.addresses.grpc.to_string(),
        "postgres": ready.addresses.postgres.to_string(),
        "admin": ready.admin,
        "roles": roles.collect::<Vec<_>>(),
        "pids": ready.pids,
        "dir": ready.dir,
    })
}

fn people(ready: &Ready) {
    let (bold, dim, plain) = if has_colour() { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let dir = ready.dir.display();
    println!();
    println!("{bold}Hoop runs on this machine.{plain}");
    println!();
    println!(
        "  API         http://{}   {dim}administrator {} / {}{plain}",
        ready.addresses.http, ready.admin.user, ready.admin.password
    );
    println!("  agents      grpcs://{}", ready.addresses.grpc);
    println!("  PostgreSQL  {}", ready.addresses.postgres);
    println!("  folder      {dir}   {dim}store, recordings, logs{plain}");
    println!();
    let Some(role) = ready.roles.first() else {
        println!("Next: a sample database to try it on:  {bold}hoop dev --demo{plain}");
        println!("Ctrl-C stops everything.");
        return;
    };
    println!("Try, in another terminal:");
    println!();
    println!("  {bold}psql '{}'{plain}", role.url);
    println!("    {dim}select name, email, card_number, ssn from customers limit 5;   -- masked{plain}");
    println!("    {dim}drop table customers;                                          -- refused{plain}");
    println!();
    println!("  {bold}hoop sessions list --dir {dir}{plain}");
    println!("  {bold}hoop audit show --dir {dir} SESSION{plain}     {dim}what was done, and what was shown{plain}");
    println!("  {bold}hoop audit verify --dir {dir} SESSION{plain}   {dim}that nobody changed it since{plain}");
    println!();
    println!("Ctrl-C stops everything.");
}
