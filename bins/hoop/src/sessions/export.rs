//! `hoop sessions export`.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use clap::{Args, ValueEnum};
use hoop_gateway::record;
use hoop_gateway::record::asciicast::Asciicast;
use hoop_gateway::record::replay::Replay;

use super::replay::no_terminal;
use crate::audit;
use crate::failure::Failure;
use crate::shell::Shell;

#[derive(Args)]
pub(crate) struct Options {
    /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
    session: Option<String>,
    /// As what.
    #[arg(long, value_name = "FORMAT", default_value = "asciicast")]
    format: Form,
    /// The channel; unless given, the first that has a terminal.
    #[arg(long, value_name = "N")]
    channel: Option<u64>,
    /// With what was typed. What could be a secret was never recorded.
    #[arg(long)]
    input: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// A terminal as asciicast v3, for players. What is in it is as it was written: play it in a player that you trust.
    Asciicast,
    /// The recording as it is stored, for `hoop audit`.
    Hooplog,
}

pub(super) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let recording = audit::find(options.session.as_deref(), shell).await?;
    match options.format {
        Form::Hooplog => {
            io::copy(&mut std::fs::File::open(recording.path())?, &mut io::stdout().lock())?;
            Ok(())
        }
        Form::Asciicast => asciicast(recording.path(), &options),
    }
}

fn asciicast(path: &Path, options: &Options) -> Result<(), Failure> {
    let mut log = record::read(path)?;
    let (mut replay, mut cast) = (Replay::new(options.channel), Asciicast::new(options.input));
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = Vec::new();
    while let Some(moment) = replay.next(&mut log) {
        lines.clear();
        cast.write(moment?, &mut lines);
        out.write_all(&lines)?;
    }
    if !replay.has_begun() {
        return Err(no_terminal(options.channel));
    }
    Ok(out.flush()?)
}
