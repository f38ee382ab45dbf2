//! Rules on what is done with files.

use hoop_core::{Code, Denial, FileKind, FileOperation};
use serde::{Deserialize, Serialize};

use super::list::{Action, Entry, List, Match, checked, wrong};
use super::wild::{Pattern, Text};

/// A rule on files that SFTP and `scp` move or change. It matches what is done when its operation **and** its path are given.
///
/// ```
/// use hoop_gateway::plugins::guardrail::GuardrailRules;
/// let rules: GuardrailRules = serde_json::from_str(r#"{
///     "files": [
///         { "name": "no-keys", "paths": ["*/.ssh/*", "/etc/*"], "hint": "ask who runs the machine" },
///         { "name": "releases", "action": "allow", "operations": ["change"], "paths": ["/srv/releases/*"] },
///         { "name": "look", "action": "allow", "operations": ["read", "list"] }
///     ]
/// }"#)?;
/// assert_eq!(rules.files.len(), 3);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// Paths are compared as they are written once `//`, `.` and `..` are taken out. The links on a machine are not known here, but
/// for those of processes (`/proc/self/root`), which could lead anywhere: who may make links, or finds one, reaches what it leads
/// to, so let the login's privileges say what nobody may ever see. Capitals count, also where the machine takes them for small
/// letters. A program that a command or a shell runs moves files unseen by these rules; see [`CommandRule`](super::CommandRule).
/// A list of commands that allows `scp -t *` and `scp -f *` allows what is decoded; `scp *` is also what `-S` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// What it is called in refusals and recordings.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub action: Action,
    /// What is done, one of these; anything when empty.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// The paths that it is done with, any of these, in full; `*` stands for any run of characters, also of `/`. Anything when
    /// empty. `/srv/*` is what is in the folder, and not the folder itself.
    ///
    /// A path that the client does not give in full could be anywhere: a rule that refuses matches it when it could, and one
    /// that allows does not. Of two paths (a rename, a link, an upload of `scp` that may go to one of two) a rule that refuses
    /// matches when it does one, and both must be allowed.
    #[serde(default)]
    pub paths: Vec<String>,
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

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A file is read. A rule that refuses it refuses also to rename a file, or to link to it, since it could be read then.
    Read,
    /// A file is written, made or cut. A rule that refuses it refuses also to rename a file to such a path, and to link.
    Write,
    /// A folder is listed.
    List,
    /// A file is removed. A rule that refuses it refuses also to rename it.
    Remove,
    /// A folder is made.
    MakeDirectory,
    /// A folder is removed.
    RemoveDirectory,
    /// A file or folder gets another name.
    Rename,
    /// A link is made.
    Link,
    /// Owner, permissions or times are set.
    SetAttributes,
    /// Any of these but to read and to list.
    Change,
}

/// What a rule matches.
#[derive(Debug)]
pub(super) struct Files {
    operations: Vec<Operation>,
    paths: Vec<Pattern>,
}

pub(super) fn list(rules: Vec<FileRule>) -> Result<List<Files>, Denial> {
    let entry = |rule: FileRule| -> Result<_, Denial> {
        let FileRule { name, action, operations, paths, hint, except_groups, for_groups } = rule;
        if action == Action::Review {
            return Err(wrong(
                &name,
                "what is done with files cannot wait for a review: ask for one of the subsystem or the command",
            ));
        }
        let given = !operations.is_empty() || !paths.is_empty();
        let paths = paths.iter().map(|path| pattern(&name, path)).collect::<Result<_, _>>()?;
        let matches = given.then_some(Files { operations, paths });
        Ok(Entry { name, action, group: None, hint, except_groups, for_groups, matches })
    };
    List::new(rules.into_iter().map(entry).collect::<Result<_, _>>()?, Code::FileDenied)
}

/// A pattern that a path in full can match.
fn pattern(rule: &str, path: &str) -> Result<Pattern, Denial> {
    let path = checked(rule, path)?;
    let plain = !path.contains("//") && path.split('/').all(|part| part != "." && part != "..");
    if !path.starts_with(['/', '*']) || !plain || (path.len() > 1 && path.ends_with('/')) {
        let what =
            format!("no path is written as {path}: give it in full, without `//`, `.` and `..` and a `/` at its end");
        return Err(wrong(rule, &what));
    }
    Ok(Pattern::new(path))
}

/// A path with which something is done, and what that is.
struct Touched<'a> {
    path: &'a [u8],
    does: Operation,
    /// What somebody could do by it.
    also: &'static [Operation],
    /// Whether what is below the path goes along.
    with_below: bool,
}

pub(super) fn judge(list: &List<Files>, operation: &FileOperation) -> Result<(), Denial> {
    for touched in touched(operation) {
        let shown = String::from_utf8_lossy(touched.path);
        let what = format!("to {} {shown}", said(operation.kind));
        let path = text(touched.path);
        list.decide(&what, "give the path in full", |files, action| files.matches(&touched, &path, action))?;
    }
    Ok(())
}

fn touched(operation: &FileOperation) -> Vec<Touched<'_>> {
    use Operation::{Link, Read, Remove, Rename, Write};
    let one = |path, does| Touched { path, does, also: &[], with_below: false };
    let (path, to) = (&operation.path[..], operation.to.as_deref());
    let both = |does| [Some(path), to].into_iter().flatten().map(|path| one(path, does)).collect();
    let moved = |does, from_also, to_also| {
        let from = Touched { path, does, also: from_also, with_below: true };
        let to = to.map(|path| Touched { path, does, also: to_also, with_below: true });
        std::iter::once(from).chain(to).collect()
    };
    match operation.kind {
        FileKind::Read => vec![one(path, Read)],
        FileKind::Write => both(Write),
        FileKind::ReadWrite => vec![one(path, Read), one(path, Write)],
        FileKind::List => vec![one(path, Operation::List)],
        FileKind::Remove => vec![one(path, Remove)],
        FileKind::MakeDirectory => both(Operation::MakeDirectory),
        FileKind::RemoveDirectory => vec![one(path, Operation::RemoveDirectory)],
        FileKind::Rename => moved(Rename, &[Read, Remove], &[Write]),
        FileKind::Link => moved(Link, &[Read, Write], &[Write]),
        FileKind::SetAttributes => vec![one(path, Operation::SetAttributes)],
    }
}

fn said(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Read => "read",
        FileKind::Write => "write",
        FileKind::ReadWrite => "read and write",
        FileKind::List => "list",
        FileKind::Remove | FileKind::RemoveDirectory => "remove",
        FileKind::MakeDirectory => "make the folder",
        FileKind::Rename => "rename from or to",
        FileKind::Link => "link from or to",
        FileKind::SetAttributes => "set the attributes of",
    }
}

impl Files {
    fn matches(&self, touched: &Touched<'_>, path: &Text, action: Action) -> Match {
        let refuses = action == Action::Deny;
        let names = |does: Operation| self.operations.iter().any(|operation| operation.covers(does));
        let does = names(touched.does) || (refuses && touched.also.iter().any(|does| names(*does)));
        if !self.operations.is_empty() && !does {
            return Match::No;
        }
        let goes_along = refuses && touched.with_below;
        let any = |matches: fn(&Pattern, &Text) -> bool| self.paths.iter().any(|pattern| matches(pattern, path));
        if self.paths.is_empty() || any(Pattern::surely_matches) {
            Match::Surely
        } else if any(Pattern::may_match) || (goes_along && any(Pattern::may_lie_below)) {
            Match::Maybe
        } else {
            Match::No
        }
    }
}

impl Operation {
    fn covers(self, other: Self) -> bool {
        self == other || (self == Self::Change && !matches!(other, Self::Read | Self::List))
    }
}

/// Whether this is a link to a folder or a file of a process: `/proc/self/root` is `/`.
fn leads_anywhere(names: &[&[u8]]) -> bool {
    matches!(names, [b"proc", _, .., b"root" | b"cwd"] | [b"proc", _, .., b"fd" | b"map_files", _] | [b"dev", b"fd", _])
}

/// Whether a path, as a client gives it, is one that the pattern names, or could be.
pub(in crate::plugins) fn may_be(pattern: &str, path: &[u8]) -> bool {
    let pattern = Pattern::new(pattern);
    pattern.may_match(&Text::default().known(path)) || pattern.may_match(&text(path))
}

/// A path without `//`, `.` and `..`. What is not given in full is somewhere, and so is what leads through one of the links that
/// every Linux has.
fn text(path: &[u8]) -> Text {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut is_full = path.starts_with(b"/");
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
        if is_full && leads_anywhere(&names) {
            names.clear();
            is_full = false;
        }
    }
    // `~` is a home where a shell reads it.
    if !is_full && path.starts_with(b"~") && names.first().is_some_and(|name| name.starts_with(b"~")) {
        names.remove(0);
    }
    let start = if is_full { Text::default() } else { Text::default().unknown() };
    if is_full && names.is_empty() {
        return start.known(b"/");
    }
    names.iter().fold(start, |text, name| text.known(b"/").known(name))
}
