//! `/api/v1/events/stream`: server-sent events that say what changed, so that who watches reads it again. They carry a kind
//! and an id, of what the caller may see. It is a path of its own: `/api/v1/events` is the audit trail, which needs another
//! permission and is not about the same things.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::{Instant, Interval, interval_at};

use super::body::Parameters;
use super::describe::{Answer, Input};
use super::document::Operation;
use super::guard;
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::changes::{Change, Seat, Subject, Watch};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/events/stream", Permission::Member, "What changes, as server-sent events.", watch)
}

/// Whether these are the groups of somebody who may know of what a group may.
fn is_in(groups: &[String], group: Option<&str>) -> bool {
    group.is_some_and(|group| groups.iter().any(|own| own == group))
}

/// Streams at once.
const MOST: usize = 1024;

/// Streams of one user at once, so that nobody takes them all.
const MOST_OF_A_USER: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    types: Option<String>,
}

/// What the caller wants to be told of, and what it was told last.
struct Wish {
    subjects: Vec<Subject>,
    mark: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(Query { types }) = Parameters::from_request_parts(parts, state).await?;
        let subjects = match types {
            None => Subject::ALL.to_vec(),
            Some(types) => types.split(',').map(subject).collect::<Result<_, _>>()?,
        };
        let mark = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self { subjects, mark })
    }
}

fn subject(name: &str) -> Result<Subject, Problem> {
    let found = Subject::ALL.iter().copied().find(|subject| subject.as_str() == name);
    found.ok_or_else(|| Problem::field("types", format!("some of {}, separated by commas", names().join(", "))))
}

fn names() -> Vec<&'static str> {
    Subject::ALL.iter().map(|subject| subject.as_str()).collect()
}

impl Input for Wish {
    fn describe(operation: &mut Operation) {
        let types = json!({ "type": "array", "items": { "type": "string", "enum": names() }, "minItems": 1 });
        operation.parameter("types", "query", false, "Kinds, separated by commas; all of them unless given.", types);
        operation.not_exploded("types");
        let about =
            "The id of the last event that was seen: those after it come first, or `reset` when they are not known.";
        operation.parameter("Last-Event-ID", "header", false, about, json!({ "type": "string" }));
        operation.refuses(&[StatusCode::BAD_REQUEST]);
    }
}

struct Stream(Response);

impl axum::response::IntoResponse for Stream {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for Stream {
    fn describe(operation: &mut Operation) {
        let about = "Events named by the kind of thing, with `{\"kind\", \"what\", \"id\"}`; members are told that some role \
            changed, and not which. `reset`: what was missed is not known. `lagged`: this client was too slow, and is cut.";
        let content = json!({ "text/event-stream": { "schema": { "type": "string" } } });
        operation.answer(StatusCode::OK, json!({ "description": about, "content": content }));
    }
}

async fn watch(State(api): State<Api>, caller: Caller, wish: Wish) -> Result<Stream, Problem> {
    let heartbeat = api.settings.heartbeat;
    if api.changes.watchers() >= MOST {
        return Err(Problem::throttled("too many streams are open", heartbeat));
    }
    let seat = api.changes.seat(caller.user.id, MOST_OF_A_USER);
    let seat = seat.ok_or_else(|| Problem::throttled("you have too many streams open", heartbeat))?;
    let Watch { missed, live } = api.changes.watch(wish.mark.as_deref());
    let first = match missed {
        Some(_) => Event::default().comment("watching"),
        None => Event::default().event("reset").data("{}"),
    };
    let watcher = Watcher {
        waiting: missed.unwrap_or_default(),
        beat: interval_at(Instant::now() + heartbeat, heartbeat),
        subjects: wish.subjects,
        over: false,
        first: Some(first),
        _seat: seat,
        live,
        caller,
        api,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Stream(Sse::new(events).into_response()))
}

struct Watcher {
    api: Api,
    caller: Caller,
    subjects: Vec<Subject>,
    first: Option<Event>,
    waiting: VecDeque<Change>,
    live: broadcast::Receiver<Change>,
    beat: Interval,
    over: bool,
    _seat: Seat,
}

impl Watcher {
    /// The next event; none when the stream is over.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while !self.over {
            if let Some(change) = self.waiting.pop_front() {
                if let Some(event) = self.show(&change) {
                    return Some(event);
                }
                continue;
            }
            tokio::select! {
                () = self.api.changes.closed() => return None,
                change = self.live.recv() => match change {
                    // Whoever was changed may not be who they were.
                    Ok(change) if self.is_caller(&change) && !self.is_welcome().await => return None,
                    Ok(change) => self.waiting.push_back(change),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.over = true;
                        return Some(Event::default().event("lagged").data("{}"));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.beat.tick() => {
                    if !self.is_welcome().await {
                        return None;
                    }
                    return Some(Event::default().comment("alive"));
                }
            }
        }
        None
    }

    fn is_caller(&self, change: &Change) -> bool {
        let about_callers = matches!(change.subject, Subject::User | Subject::ServiceAccount | Subject::Token);
        about_callers && change.owner == Some(self.caller.user.id)
    }

    /// Whether the caller's token is still good; the caller is from then on who the store says.
    async fn is_welcome(&mut self) -> bool {
        match guard::known(&self.api, self.caller.token.hash, self.caller.proof).await {
            Ok(caller) if !caller.user.must_change_password => {
                self.caller = caller;
                true
            }
            _ => false,
        }
    }

    /// The event of a change that the caller may know of, and wants to.
    fn show(&self, change: &Change) -> Option<Event> {
        let user = &self.caller.user;
        if change.org != user.org || !self.subjects.contains(&change.subject) {
            return None;
        }
        let mut data = json!({ "kind": change.subject.as_str(), "what": change.what });
        match self.caller.scope() {
            Some(own) if change.owner != Some(own) && !is_in(&user.groups, change.group.as_deref()) => {
                // Which roles a member may reach is asked when the list is read again.
                if change.subject != Subject::Role {
                    return None;
                }
                data["what"] = "updated".into();
            }
            _ => data["id"] = (*change.id).into(),
        }
        Some(Event::default().event(change.subject.as_str()).id(self.api.changes.mark(change)).data(data.to_string()))
    }
}
