//! `hoop sessions replay`.

pub(super) mod exchanges;
mod player;

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use rustix::termios::{Winsize, tcgetwinsize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::stage::Stage;
use crate::audit;
use crate::duration;
use crate::failure::Failure;
use crate::shell::Shell;
use crate::stop::Stop;
use player::{Key, Player, Shown};

#[derive(Args)]
pub(crate) struct Options {
    /// Its id, `ses_…`, or the path of a recording; unless given, the latest session.
    session: Option<String>,
    /// The channel; unless given, the first that has a terminal.
    #[arg(long, value_name = "N")]
    channel: Option<u64>,
    /// How many times as fast.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The longest that nothing happens, such as 1s.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    skip_idle: Option<Duration>,
    /// Where to begin, such as 1:30.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = place)]
    from: Duration,
    /// Of a session of HTTP: with the bodies and messages that were kept.
    #[arg(long)]
    bodies: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (0.01..=1_000.0).contains(speed));
    speed.ok_or_else(|| "a number between 0.01 and 1000".to_owned())
}

/// `90`, `1:30` or `1:02:03`.
fn place(text: &str) -> Result<Duration, String> {
    let wrong = || "seconds, minutes:seconds or hours:minutes:seconds".to_owned();
    let mut seconds = 0_u64;
    for (number, part) in text.split(':').enumerate() {
        let part: u64 = part.parse().map_err(|_| wrong())?;
        if number > 2 || number > 0 && part > 59 {
            return Err(wrong());
        }
        seconds = seconds.checked_mul(60).and_then(|all| all.checked_add(part)).ok_or_else(wrong)?;
    }
    Ok(Duration::from_secs(seconds))
}

pub(super) fn no_terminal(channel: Option<u64>) -> Failure {
    let which = channel.map(|channel| format!(" on channel {channel}")).unwrap_or_default();
    let hint = "hoop audit show tells what happened in the session";
    Failure::new(Failure::NOT_FOUND, format!("there is no terminal{which} in the recording")).hint(hint)
}

pub(super) async fn run(options: Options, shell: &Shell) -> Result<(), Failure> {
    let recording = audit::find(options.session.as_deref(), shell).await?;
    if exchanges::is_http(&mut hoop_gateway::record::read(recording.path())?)? {
        return exchanges::tell(recording.path(), options.bodies);
    }
    let player = open(recording.path(), &options)?;
    // A reader that is no terminal gets all of it at once.
    if !io::stdout().is_terminal() {
        return at_once(player, Stage::of_output());
    }
    tell_size(&player, shell);
    play(player, shell).await
}

fn open(path: &Path, options: &Options) -> Result<Player, Failure> {
    let mut player = Player::open(path, options.channel, options.speed, options.skip_idle)?;
    if !player.has_terminal() {
        return Err(no_terminal(options.channel));
    }
    player.seek(options.from)?;
    Ok(player)
}

fn at_once(mut player: Player, mut stage: Stage) -> Result<(), Failure> {
    while let Some(shown) = player.step()? {
        show(&mut stage, shown)?;
    }
    Ok(stage.flush()?)
}

/// What was recorded on a larger terminal cannot look right.
fn tell_size(player: &Player, shell: &Shell) {
    let (columns, rows) = player.size();
    let is_known = |size: &Winsize| size.ws_col > 0 && size.ws_row > 0;
    let is_small = |size: &Winsize| is_known(size) && (size.ws_col < columns || size.ws_row < rows);
    if let Some(size) = tcgetwinsize(io::stdout()).ok().filter(is_small) {
        shell.tell(format!("recorded at {columns}x{rows}; this terminal has {}x{}", size.ws_col, size.ws_row));
    }
}

fn show(stage: &mut Stage, shown: Shown) -> io::Result<()> {
    match shown {
        Shown::Written(bytes) => stage.write(&bytes),
        Shown::Redrawn(screen) => stage.redraw(&screen),
        Shown::Nothing => Ok(()),
    }
}

async fn play(mut player: Player, shell: &Shell) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let mut stage = Stage::with_keys();
    let mut keys = keys(&stage)?;
    let mut due = Instant::now();
    let mut paused: Option<Duration> = None;
    loop {
        tokio::select! {
            biased;
            failure = stop.any(shell.timeout) => return Err(failure),
            Some(key) = keys.recv() => match key {
                Key::Quit => return Ok(()),
                Key::Pause => match paused.take() {
                    Some(left) => due = Instant::now() + left,
                    None => paused = Some(due.saturating_duration_since(Instant::now())),
                },
                Key::Back | Key::Ahead => {
                    player.jump(key == Key::Ahead)?;
                    due = Instant::now();
                    paused = paused.map(|_| Duration::ZERO);
                    // What it looks like there is shown at once, also while it pauses.
                    if let Some(shown) = player.redrawn() {
                        show(&mut stage, shown)?;
                        stage.flush()?;
                    }
                }
            },
            () = sleep_until(due), if paused.is_none() => {
                let Some(shown) = player.step()? else { return Ok(()) };
                show(&mut stage, shown)?;
                let wait = player.wait()?;
                if !wait.is_zero() {
                    stage.flush()?;
                }
                // What could not be shown in time does not make the rest run.
                due = (due + wait).max(Instant::now());
            }
        }
    }
}

/// The keys that mean something. A thread waits for them, since a terminal cannot be asked otherwise; it ends with the process.
fn keys(stage: &Stage) -> Result<mpsc::Receiver<Key>, Failure> {
    let (sender, receiver) = mpsc::channel(16);
    if let Some(terminal) = stage.keys() {
        let mut terminal = terminal?;
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut struck = [0; 64];
            while let Ok(length @ 1..) = terminal.read(&mut struck) {
                for key in Key::read(struck.get(..length).unwrap_or_default()) {
                    if sender.blocking_send(key).is_err() {
                        return;
                    }
                }
            }
        })?;
    }
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_speeds() {
        for (text, seconds) in [("0", 0), ("90", 90), ("1:30", 90), ("1:02:03", 3_723)] {
            assert_eq!(place(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "1:60", "a", "1:2:3:4", "-1", "1:", "99999999999999999999"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert_eq!(speed("2"), Ok(2.0));
        assert!(speed("0").is_err() && speed("NaN").is_err() && speed("x").is_err());
    }
}
