//! Rules on commands and subsystems.

use hoop_core::{Code, Command, CommandKind, Denial};
use hoop_proto::ssh::shell::{self, Simple, Word};
use serde::{Deserialize, Serialize};

use super::Unparsable;
use super::list::{ASK, Action, Entry, List, Match, Wanted, checked};
use super::wild::{Pattern, Text};

/// A rule on commands and subsystems that a client starts on a machine.
///
/// ```
/// use hoop_gateway::plugins::guardrail::GuardrailRules;
/// let rules: GuardrailRules = serde_json::from_str(r#"{
///     "commands": [
///         { "name": "restarts", "action": "review", "group": "on-call", "patterns": ["systemctl restart *"] },
///         { "name": "no-stop", "patterns": ["systemctl stop *", "reboot*"], "hint": "ask who is on call" },
///         { "name": "services", "action": "allow", "patterns": ["systemctl *", "journalctl *"] },
///         { "name": "files", "action": "allow", "subsystems": ["sftp"] }
///     ]
/// }"#)?;
/// assert_eq!(rules.commands.len(), 4);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// The text of a command is read as a POSIX shell reads it: every program in it (joined by `;`, `&`, `&&`, `||`, `|` or line
/// ends, or within `$(…)` and backquotes) is a command of its own, and each must be let through. So is every file that
/// the shell opens: `> /tmp/x` is a command with this text; `/dev/null` is none. What cannot be read surely (`if`, functions,
/// here-documents …) is refused by a list that allows, and otherwise as `unparsable` says.
///
/// A command that a rule with the action `review` matches is held until somebody of its `group` has agreed to all of it, as it is
/// written and with its variables; what it reads is not a part of that.
///
/// **A shell is a shell.** What is typed in an interactive one, or goes to a program such as `sh`, `python` or `vi` that runs
/// others, is not bound by any rule. A list that only refuses is a fence, not a wall: `sh -c` and many others lead around
/// it. A role that means to bind its users has a list that allows, and `"shell": false` in its target's `allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// What it is called in refusals and recordings.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub action: Action,
    /// Of which group somebody must agree, where the action is `review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Commands, any of these: the program and its arguments with single spaces between them, and `*` for any run of
    /// characters, also of spaces and `/`: `cat /srv/*` is `cat /srv/../etc/shadow` and `cat /srv/a /etc/shadow`, too. An argument
    /// with a space or another character that a shell reads is in single quotes.
    ///
    /// A rule that refuses also matches a program by its name alone (`rm *` is `/bin/rm -r x`, too), and where only the
    /// shell knows (`$X -r x`). One that allows matches the program as it is written, and no command with variables set
    /// before it.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// Subsystems by name, any of these, with `*` as above.
    #[serde(default)]
    pub subsystems: Vec<String>,
    /// What to do next, for the user.
    #[serde(default)]
    pub hint: Option<String>,
    /// Groups whose members it does not hold for.
    #[serde(default)]
    pub except_groups: Vec<String>,
    /// Groups for whose members it holds; everyone when empty.
    #[serde(default)]
    pub for_groups: Vec<String>,
}

/// What a rule matches.
#[derive(Debug)]
pub(super) struct Commands {
    patterns: Vec<Pattern>,
    subsystems: Vec<Pattern>,
}

pub(super) fn list(rules: Vec<CommandRule>) -> Result<List<Commands>, Denial> {
    let entry = |rule: CommandRule| -> Result<_, Denial> {
        let CommandRule { name, action, group, patterns, subsystems, hint, except_groups, for_groups } = rule;
        let compiled = |patterns: &[String]| {
            patterns.iter().map(|pattern| checked(&name, pattern).map(Pattern::new)).collect::<Result<Vec<_>, _>>()
        };
        let commands = Commands { patterns: compiled(&patterns)?, subsystems: compiled(&subsystems)? };
        let given = !patterns.is_empty() || !subsystems.is_empty();
        Ok(Entry { name, action, group, hint, except_groups, for_groups, matches: given.then_some(commands) })
    };
    List::new(rules.into_iter().map(entry).collect::<Result<_, _>>()?, Code::CommandDenied)
}

pub(super) fn judge(
    list: &List<Commands>,
    command: &Command,
    unparsable: Unparsable,
) -> Result<Option<Wanted>, Denial> {
    match command.kind {
        CommandKind::Shell => Ok(None),
        CommandKind::Subsystem => {
            let name = Text::default().known(&command.text);
            let what = format!("the subsystem {}", String::from_utf8_lossy(&command.text));
            list.decide(&what, ASK, |commands, _| commands.matches_subsystem(&name))
        }
        CommandKind::Exec => match shell::commands(&command.text) {
            Some(commands) => commands.iter().try_fold(None, |wanted, command| {
                Wanted::and(wanted, judge_one(list, command)?)
                    .map_err(|both| list.refusal(both, "run the commands one at a time"))
            }),
            None if list.is_allow_list || (unparsable == Unparsable::Deny && list.any(Commands::names_commands)) => {
                let reason = "the command could not be read surely, so no rule could be applied to it".to_owned();
                Err(list.refusal(
                    reason,
                    "write it in a simpler form: programs with their arguments, joined by ; && || or |",
                ))
            }
            None => Ok(None),
        },
    }
}

fn judge_one(list: &List<Commands>, command: &shell::Command) -> Result<Option<Wanted>, Denial> {
    let Some(forms) = Forms::of(command) else { return Ok(None) };
    let what = format!("the command {}", forms.program);
    list.decide(&what, "write out what the shell would fill in", |commands, action| commands.matches(&forms, action))
}

/// The forms in which a command is compared.
struct Forms {
    /// What it is called in a refusal.
    program: String,
    /// As it is written, with quotes. None where a rule that allows cannot know what it does.
    exact: Option<Text>,
    /// Without quotes, and the program by its name alone.
    loose: Vec<Text>,
}

impl Forms {
    /// None where nothing is run.
    fn of(command: &shell::Command) -> Option<Self> {
        match command {
            shell::Command::Redirect(_, file) if file.literal().as_deref() == Some(b"/dev/null") => None,
            shell::Command::Redirect(operator, file) => {
                let operator = operator.trim_start_matches('&').trim_end_matches('|');
                let start = || Text::default().known(operator.as_bytes()).known(b" ");
                let (exact, loose) = (start().then(&quoted(file)), vec![start().then(&plain(file))]);
                Some(Self { program: operator.to_owned(), exact: Some(exact), loose })
            }
            shell::Command::Simple(Simple { assignments, words }) => {
                let program = words.first().or(assignments.first())?;
                let exact = assignments.is_empty().then(|| joined(words.iter().map(quoted)));
                let arguments = || words.iter().skip(1).map(plain);
                let loose = words.first().into_iter().flat_map(|program| {
                    [plain(program), plain(&name(program))]
                        .map(|program| joined(std::iter::once(program).chain(arguments())))
                });
                Some(Self { program: shown(program), exact, loose: loose.collect() })
            }
        }
    }
}

impl Commands {
    const fn names_commands(&self) -> bool {
        !self.patterns.is_empty()
    }

    fn matches_subsystem(&self, name: &Text) -> Match {
        let found = self.subsystems.iter().any(|pattern| pattern.surely_matches(name));
        if found { Match::Surely } else { Match::No }
    }

    fn matches(&self, forms: &Forms, action: Action) -> Match {
        let surely = |text: &Text| self.patterns.iter().any(|pattern| pattern.surely_matches(text));
        let may = |text: &Text| self.patterns.iter().any(|pattern| pattern.may_match(text));
        let all = || forms.exact.iter().chain(&forms.loose);
        match action {
            Action::Allow if forms.exact.as_ref().is_some_and(surely) => Match::Surely,
            Action::Allow => Match::No,
            Action::Deny | Action::Review if all().any(surely) => Match::Surely,
            Action::Deny | Action::Review if all().any(may) => Match::Maybe,
            Action::Deny | Action::Review => Match::No,
        }
    }
}

fn joined(words: impl Iterator<Item = Text>) -> Text {
    words.enumerate().fold(
        Text::default(),
        |text, (at, word)| {
            if at == 0 { word } else { text.known(b" ").then(&word) }
        },
    )
}

fn plain(word: &Word) -> Text {
    word.parts
        .iter()
        .fold(Text::default(), |text, part| if part.known { text.known(&part.text) } else { text.unknown() })
}

/// A word as it must be written where it is to mean itself.
fn quoted(word: &Word) -> Text {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:,+@%=".contains(byte) || !byte.is_ascii();
    match word.literal() {
        Some(known) if known.is_empty() || !known.iter().all(is_plain) => {
            let inner: Vec<_> = known.split(|byte| *byte == b'\'').collect();
            Text::default().known(b"'").known(&inner.join(&br"'\''"[..])).known(b"'")
        }
        _ => plain(word),
    }
}

/// A program without the folder that it is in.
fn name(program: &Word) -> Word {
    let mut parts = program.parts.clone();
    let last = parts.iter().rposition(|part| part.known && part.text.contains(&b'/'));
    if let Some(last) = last {
        parts.drain(..last);
        if let Some(part) = parts.first_mut() {
            let from = part.text.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            part.text.drain(..from);
        }
    }
    Word { parts }
}

fn shown(word: &Word) -> String {
    let parts = word.parts.iter().flat_map(|part| part.text.iter().copied());
    String::from_utf8_lossy(&parts.collect::<Vec<_>>()).into_owned()
}
