//! `hoop sessions files`.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use clap::Args;
use hoop_gateway::record;
use hoop_gateway::record::files::{self, Moved};
use serde_json::Value;

use crate::audit;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::shell::Shell;

#[derive(Args)]
pub(crate) struct Options {
    /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
    session: Option<String>,
    /// Writes what is kept of the contents of the file with this number.
    #[arg(long, value_name = "N")]
    get: Option<u64>,
    /// To this new file; to standard output unless given.
    #[arg(long, short = 'f', value_name = "FILE", requires = "get")]
    file: Option<PathBuf>,
    /// What was read from the file, where something was written to it, too.
    #[arg(long, requires = "get")]
    read: bool,
}

const HEAD: [&str; 6] = ["number", "operation", "path", "bytes", "kept", "sha256"];

pub(super) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let recording = audit::find(options.session.as_deref(), shell).await?;
    let log = record::read(recording.path())?;
    let Some(number) = options.get else {
        let (moved, _) = files::list(log, 0, usize::MAX)?;
        let views: Vec<Value> = moved.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        return output::list(shell.format, &views, &HEAD, row, "no file was moved in this session");
    };
    let to = match &options.file {
        Some(path) => File::options().write(true).read(true).create_new(true).open(path)?,
        None => tempfile::tempfile()?,
    };
    let mut found = None;
    for written in if options.read { &[false][..] } else { &[true, false] } {
        found = files::contents(record::read(recording.path())?, number, *written, &to)?;
        if found.is_some() {
            break;
        }
    }
    let Some(Moved { kept_read, kept_written, bytes_read, bytes_written, .. }) = found else {
        if let Some(path) = &options.file {
            std::fs::remove_file(path)?;
        }
        let text = format!("nothing is kept of a file {number} in this session");
        return Err(Failure::new(Failure::NOT_FOUND, text)
            .hint("what is kept, the settings of audit of the role say: keep_files"));
    };
    if options.file.is_none() {
        io::copy(&mut io::BufReader::new(to), &mut io::stdout().lock())?;
    }
    let is_whole = |moved: u64, kept: Option<u64>| kept.is_some_and(|kept| kept >= moved);
    if !is_whole(bytes_read, kept_read) || !is_whole(bytes_written, kept_written) {
        eprintln!("hoop: not all of the file is kept");
    }
    Ok(())
}

fn row(file: &Value) -> Vec<String> {
    let sum = |read: &str, written: &str| file[read].as_u64().unwrap_or(0) + file[written].as_u64().unwrap_or(0);
    let kept = match (&file["kept_read"], &file["kept_written"]) {
        (Value::Null, Value::Null) => String::new(),
        _ => sum("kept_read", "kept_written").to_string(),
    };
    let bytes = sum("bytes_read", "bytes_written").to_string();
    vec![text(file, "number"), text(file, "operation"), text(file, "path"), bytes, kept, text(file, "sha256")]
}
