//! Closing, at the start, the logs that a gateway left open when it died.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hoop_core::clock::Clock;
use hoop_core::id::{OrgId, SessionId};

use super::config::RecorderConfig;
use super::error::RecordError;
use super::event::{End, Event, Header, Shown, Text, Totals};
use super::format::{self, Chain, Kind, MAGIC};
use super::note::Checkpoint;
use super::path::{open_folder, open_path, sealed_path, session_of};
use super::reader::{Flaw, Scanned, Scanner, followed};
use super::verify::Bad;
use super::wal;
use super::writer::make_folder;

/// What recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The logs that were open.
    pub logs: Vec<Recovered>,
}

/// A log that was open when its gateway died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The organisation of the session; `None` when the log holds not even its header.
    pub org: Option<OrgId>,
    /// The session.
    pub session: SessionId,
    /// Where the log lies now.
    pub path: PathBuf,
    /// How the session ended: `gateway_lost`, unless it had ended before its gateway died.
    pub outcome: String,
    /// Sums of what the log holds.
    pub totals: Totals,
    /// Time of its last record, in microseconds since 1970-01-01 UTC; `None` when it held none.
    pub last_time: Option<i64>,
    /// Bytes of a torn write that were cut off. None of them had been acknowledged.
    pub torn_bytes: u64,
    /// Records, seal included.
    pub records: u64,
    /// The chain that the seal signs.
    pub head: [u8; 32],
    /// The log was changed while it was open. It is left as it is, without a seal, for `verify` to show.
    pub damaged: Option<Bad>,
}

/// Recovers a folder that is locked. Returns what it found and the number of the next write-ahead log.
pub(super) fn recover(config: &RecorderConfig, clock: &dyn Clock) -> Result<(Recovery, u64), RecordError> {
    let wals = config.folder.join("wal");
    let found = wal::list(&wals).map_err(RecordError::file("read", &wals))?;
    for (_, path) in &found {
        complete(config, path).map_err(RecordError::file("recover from", path))?;
    }
    for (_, path) in &found {
        fs::remove_file(path).map_err(RecordError::file("delete", path))?;
    }
    let folder = open_folder(&config.folder);
    let mut recovery = Recovery::default();
    for entry in fs::read_dir(&folder).map_err(RecordError::file("read", &folder))? {
        let path = entry.map_err(RecordError::file("read", &folder))?.path();
        let Some(session) = session_of(&path) else { continue };
        let log = Log::recover(config, clock, session, &path).map_err(RecordError::file("recover", &path))?;
        tracing::warn!(session = %log.session, torn_bytes = log.torn_bytes, damaged = ?log.damaged, "closed a log that was left open");
        recovery.logs.push(log);
    }
    recovery.logs.sort_by_key(|log| log.session);
    Ok((recovery, found.last().map_or(0, |(number, _)| number + 1)))
}

/// Completes the logs from a write-ahead log. Doing it twice changes nothing.
fn complete(config: &RecorderConfig, path: &Path) -> io::Result<()> {
    let mut touched = std::collections::BTreeMap::new();
    wal::replay(path, |session, offset, bytes| {
        let file = match touched.entry(session) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(open_log(config, session)?),
        };
        // Bytes after a gap would not be read; the gap itself is found by verification.
        file.write_all_at(bytes, offset)
    })?;
    touched.values().try_for_each(File::sync_all)
}

fn open_log(config: &RecorderConfig, session: SessionId) -> io::Result<File> {
    let sealed = sealed_path(&config.folder, session);
    let path = if sealed.exists() { sealed } else { open_path(&config.folder, session) };
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// What a scan of an open log found.
#[derive(Default)]
struct Log {
    org: Option<OrgId>,
    kept: u64,
    records: u64,
    chain: Chain,
    last: Option<u8>,
    last_time: Option<i64>,
    outcome: Option<String>,
    totals: Totals,
    torn: u64,
    damaged: Option<Bad>,
}

impl Log {
    fn recover(config: &RecorderConfig, clock: &dyn Clock, session: SessionId, path: &Path) -> io::Result<Recovered> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut log = Self::scan(&mut file)?;
        if log.damaged.is_none() && log.last != Some(Kind::Seal.byte()) {
            log.close(config, clock, session, &mut file)?;
        }
        file.sync_all()?;
        let sealed = sealed_path(&config.folder, session);
        let folder = sealed.parent().unwrap_or(&config.folder);
        make_folder(folder)?;
        fs::rename(path, &sealed)?;
        File::open(folder)?.sync_all()?;
        Ok(Recovered {
            org: log.org,
            session,
            path: sealed,
            outcome: log.outcome.unwrap_or_else(|| "gateway_lost".into()),
            totals: log.totals,
            last_time: log.last_time,
            torn_bytes: log.torn,
            records: log.records,
            head: log.chain,
            damaged: log.damaged,
        })
    }

    fn scan(file: &mut File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut log = Self::default();
        let mut scanner = Scanner::new(BufReader::with_capacity(256 << 10, &*file));
        let end = loop {
            let before = scanner.chain;
            match scanner.step()? {
                Scanned::Record(head) => {
                    log.last = Some(head.kind);
                    log.last_time = Some(head.time);
                    log.count(head.kind, scanner.payload());
                    // What the seal signs is the chain before it.
                    log.chain = if head.kind == Kind::Seal.byte() { before } else { scanner.chain };
                }
                end => break end,
            }
        };
        (log.kept, log.records) = (scanner.offset, scanner.record);
        if log.records == 0 {
            log.chain = format::seed();
        }
        drop(scanner);
        let bad = |what| Some(Bad { record: log.records, offset: log.kept, what });
        match end {
            Scanned::Bad(flaw @ (Flaw::Checksum | Flaw::Length)) if is_tail(file, log.kept, log.records)? => {
                tracing::debug!(%flaw, "torn tail");
            }
            Scanned::Bad(flaw) => log.damaged = bad(flaw),
            _ => {}
        }
        log.torn = length.saturating_sub(log.kept);
        Ok(log)
    }

    fn count(&mut self, kind: u8, payload: &[u8]) {
        let totals = &mut self.totals;
        let (shown, sent) = match Event::decode(kind, payload) {
            Ok(Event::Header(header)) => {
                self.org = header.org.parse().ok();
                return;
            }
            Ok(Event::Statement(statement)) => {
                totals.statements += u64::from(statement.phase != Text::fixed("prepare"));
                return;
            }
            Ok(Event::Function(_)) => {
                totals.statements += 1;
                return;
            }
            Ok(Event::HttpRequest(_)) => {
                totals.requests += 1;
                return;
            }
            Ok(Event::HttpDone(done)) => {
                totals.denied += u64::from(!done.denial.is_empty());
                totals.request_bytes += done.bytes_in;
                totals.response_bytes += done.bytes_out;
                return;
            }
            Ok(Event::Complete(complete)) => (complete.shown, complete.sent),
            Ok(Event::Failed(failed)) => {
                totals.denied += u64::from(!failed.denial.is_empty());
                totals.failed += u64::from(failed.denial.is_empty());
                (failed.shown, failed.sent)
            }
            Ok(Event::End(end)) => {
                self.outcome = Some(end.outcome);
                return;
            }
            _ => return,
        };
        if let Some(Shown { rows, bytes, .. }) = shown {
            totals.rows += rows;
            totals.bytes += bytes;
        }
        if let Some(Shown { rows, bytes, .. }) = sent {
            totals.rows_in += rows;
            totals.bytes_in += bytes;
        }
    }

    /// Cuts the torn tail off, and appends what is missing: a header, the end, the seal.
    fn close(
        &mut self,
        config: &RecorderConfig,
        clock: &dyn Clock,
        session: SessionId,
        file: &mut File,
    ) -> io::Result<()> {
        let time = clock.now().timestamp_micros();
        let mut out = Vec::new();
        if self.kept == 0 {
            out.extend_from_slice(MAGIC);
        }
        let start = out.len();
        let mut sequence = self.records;
        let mut add = |kind, payload: &[u8], out: &mut Vec<u8>| {
            format::push(out, kind, sequence, time, &[payload]);
            sequence += 1;
        };
        let mut payload = Vec::new();
        if self.records == 0 {
            Header { version: 1, session: session.to_string(), ..Header::default() }.encode(&mut payload);
            add(Kind::Header, &payload, &mut out);
            payload.clear();
        }
        if self.last != Some(Kind::End.byte()) {
            let reason = Text::from("the gateway died while the session ran");
            let totals = Some(self.totals.clone());
            End { outcome: "gateway_lost".into(), reason, totals, torn_bytes: self.torn, ..End::default() }
                .encode(&mut payload);
            add(Kind::End, &payload, &mut out);
        }
        self.records += format::finish(out.get_mut(start..).unwrap_or_default(), &mut self.chain);
        let note = Checkpoint { session, records: self.records, head: self.chain, time }.sign(&config.key);
        let at = out.len();
        format::push(&mut out, Kind::Seal, self.records, time, &[note.as_bytes()]);
        let mut chain = self.chain;
        self.records += format::finish(out.get_mut(at..).unwrap_or_default(), &mut chain);
        file.set_len(self.kept)?;
        file.seek(SeekFrom::Start(self.kept))?;
        file.write_all(&out)
    }
}

/// Whether nothing of the log follows after this offset: what is there was torn, and not changed.
fn is_tail(mut file: &File, offset: u64, record: u64) -> io::Result<bool> {
    // Unsynced bytes are bounded by what a session may have written within a second or so.
    const MOST: u64 = 64 << 20;
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(MOST).read_to_end(&mut rest)?;
    Ok(!followed(&rest, record))
}
