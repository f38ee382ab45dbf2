//! Events of programs, files and forwarded connections, for people.

use std::fmt;

use super::super::event::{
    ChannelClosed, Command, Event, File, FileBytes, FileDone, FileHead, Forward, Stream, StreamBytes, Totals,
};
use super::{counted, left_out, milliseconds};

pub(super) fn write(f: &mut fmt::Formatter<'_>, event: &Event, most: usize) -> fmt::Result {
    match event {
        Event::Command(command) => program(f, command),
        Event::WindowChange(w) => write!(f, "~{} window {}x{}", w.channel, w.columns, w.rows),
        Event::Input(bytes) | Event::Output(bytes) => stream(f, bytes, most),
        Event::Line(line) => {
            let how = if line.best_effort { " (as read from the screen)" } else { "" };
            write!(f, "~{} ENTERED{how}: {}", line.channel, line.text)
        }
        Event::Signal(s) => write!(f, "~{} signal {}", s.channel, s.name),
        Event::Forward(forward) => forwarded(f, forward),
        Event::ChannelClosed(end) => closed(f, end),
        Event::File(file) => operation(f, file),
        Event::FileDone(done) => file_done(f, done),
        Event::FileBytes(bytes) => file_bytes(f, bytes),
        _ => Ok(()),
    }
}

pub(super) fn totals(f: &mut fmt::Formatter<'_>, t: &Totals) -> fmt::Result {
    write!(f, "; {}, {} denied", counted(t.commands, "command"), t.denied)?;
    write!(f, ", {} in, {} out", counted(t.input_bytes, "byte"), counted(t.output_bytes, "byte"))?;
    if t.files > 0 {
        write!(f, ", {}", counted(t.files, "file operation"))?;
    }
    if t.forwards > 0 {
        write!(f, ", {}", counted(t.forwards, "forwarded connection"))?;
    }
    Ok(())
}

fn program(f: &mut fmt::Formatter<'_>, c: &Command) -> fmt::Result {
    write!(f, "~{} {}", c.channel, c.program)?;
    if !c.text.0.is_empty() {
        write!(f, " {}", c.text)?;
    }
    if !c.term.0.is_empty() {
        write!(f, ", on a terminal {} {}x{}", c.term, c.columns, c.rows)?;
    }
    c.environment.iter().try_for_each(|variable| write!(f, "\n    {}={}", variable.name, variable.value))
}

fn stream(f: &mut fmt::Formatter<'_>, s: &StreamBytes, most: usize) -> fmt::Result {
    let what = match s.stream {
        Stream::Stdin => "read",
        Stream::Stdout => "wrote",
        Stream::Stderr => "wrote as errors",
        Stream::Other => "moved",
    };
    write!(f, "~{} {what} {}", s.channel, counted(s.bytes.0.len() as u64, "byte"))?;
    if s.hidden {
        return f.write_str(", hidden");
    }
    let text = s.bytes.to_string();
    text.lines().take(most).try_for_each(|line| write!(f, "\n    {line}"))?;
    left_out(f, text.lines().count(), most)
}

fn forwarded(f: &mut fmt::Formatter<'_>, forward: &Forward) -> fmt::Result {
    write!(f, "~{} {} {}", forward.channel, forward.forward, forward.host)?;
    if forward.port > 0 {
        write!(f, ":{}", forward.port)?;
    }
    if forward.originator.0.is_empty() { Ok(()) } else { write!(f, " from {}", forward.originator) }
}

fn closed(f: &mut fmt::Formatter<'_>, c: &ChannelClosed) -> fmt::Result {
    write!(f, "~{} ", c.channel)?;
    match c.exit_status {
        _ if !c.denial.is_empty() => write!(f, "DENIED by {} ({}): {}", c.denied_by, c.denial, c.message)?,
        Some(status) => write!(f, "exit status {status}")?,
        None if !c.exit_signal.0.is_empty() => write!(f, "ended by signal {} {}", c.exit_signal, c.message)?,
        None => f.write_str("closed")?,
    }
    write!(f, ", {} ms, {} in, {} out", milliseconds(c.duration_us), c.bytes_in, c.bytes_out)?;
    for (which, kept, digest) in [("in", c.kept_in, &c.digest_in), ("out", c.kept_out, &c.digest_out)] {
        if let Some(kept) = kept {
            write!(f, ", {which} truncated at {kept}, BLAKE3 {digest}")?;
        }
    }
    Ok(())
}

fn operation(f: &mut fmt::Formatter<'_>, file: &File) -> fmt::Result {
    write!(f, "~{}.{} {} {}", file.channel, file.number, file.operation, file.path)?;
    if file.to.0.is_empty() { Ok(()) } else { write!(f, " to {}", file.to) }
}

fn file_done(f: &mut fmt::Formatter<'_>, d: &FileDone) -> fmt::Result {
    write!(f, "~{}.{} ", d.channel, d.number)?;
    if !d.denial.is_empty() {
        return write!(f, "DENIED by {} ({}): {}", d.denied_by, d.denial, d.error);
    }
    match d.error.0.is_empty() {
        true => f.write_str("done")?,
        false => write!(f, "failed: {}", d.error)?,
    }
    for (what, bytes, kept) in [("read", d.bytes_read, d.kept_read), ("written", d.bytes_written, d.kept_written)] {
        if bytes > 0 {
            write!(f, ", {} {what}", counted(bytes, "byte"))?;
        }
        if let Some(kept) = kept.filter(|kept| *kept > 0) {
            write!(f, " ({kept} kept)")?;
        }
    }
    if d.sha256.is_empty() { Ok(()) } else { write!(f, ", SHA-256 {}", d.sha256) }
}

fn file_bytes(f: &mut fmt::Formatter<'_>, piece: &FileBytes) -> fmt::Result {
    let FileHead { channel, number, written, offset } = piece.head;
    let what = if written { "written" } else { "read" };
    write!(f, "~{channel}.{number} {} {what} at {offset}, kept", counted(piece.bytes.len() as u64, "byte"))
}
