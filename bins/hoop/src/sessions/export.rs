//! `hoop sessions export`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use clap::{Args, ValueEnum};
use hoop_gateway::record::asciicast::Asciicast;
use hoop_gateway::record::replay::Replay;
use hoop_gateway::record::{self, har};

use super::replay::{exchanges, no_terminal};
use crate::audit;
use crate::failure::Failure;
use crate::shell::Shell;

#[derive(Args)]
pub(crate) struct Options {
    /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
    session: Option<String>,
    /// As what; unless given, har of a session of HTTP, and asciicast of others.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Form>,
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
    /// The exchanges of a session of HTTP as an archive, HAR 1.2.
    Har,
    /// The recording as it is stored, for `hoop audit`.
    Hooplog,
}

pub(super) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let recording = audit::find(options.session.as_deref(), shell).await?;
    let is_http = exchanges::is_http(&mut record::read(recording.path())?)?;
    match options.format.unwrap_or(if is_http { Form::Har } else { Form::Asciicast }) {
        Form::Hooplog => {
            io::copy(&mut File::open(recording.path())?, &mut io::stdout().lock())?;
            Ok(())
        }
        Form::Har if is_http => archive(recording.path()),
        Form::Har => {
            let hint = "hoop audit show tells what happened in the session";
            Err(Failure::new(Failure::NOT_FOUND, "the recording is not one of HTTP").hint(hint))
        }
        Form::Asciicast => asciicast(recording.path(), &options),
    }
}

fn archive(path: &Path) -> Result<(), Failure> {
    let mut open = |offset| {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(BufReader::with_capacity(256 << 10, file)) as Box<dyn Read + Send>)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    har::write(&mut open, path.to_owned(), &mut out)?;
    Ok(out.flush()?)
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
