//! The types of a gRPC target's messages, as its own reflection service tells them ([the protocol]).
//!
//! Nothing that a target says makes the gateway ask without end: everything is asked for once, and there are limits to the questions,
//! the bytes and the time. Files that import each other in a circle, or what is not told, are an error.
//!
//! [the protocol]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use hoop_core::{Code, Denial};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorProto;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::call::{Call, UNIMPLEMENTED, Unanswered};
use super::session::HttpSession;

/// Both versions say the same in the same bytes.
const VERSIONS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// How long all of it may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Most questions.
const MOST_ASKED: usize = 1_000;
/// Most bytes of answers.
const MOST_BYTES: usize = 4 << 20;
/// Most files.
const MOST_FILES: usize = 2_000;

/// Asks the target of a session.
///
/// # Errors
/// What is wrong with its answers, or that there are none.
pub(super) async fn ask(session: &HttpSession) -> Result<DescriptorPool, Denial> {
    let files = tokio::time::timeout(MOST_TIME, files(session)).await;
    let files = files.map_err(|_| denied("it takes too long"))??;
    // Reading them is work, and what they say is the target's choice.
    let types = tokio::task::spawn_blocking(move || pool(files)).await;
    types.map_err(|_| denied("its files cannot be read"))?
}

async fn files(session: &HttpSession) -> Result<Vec<FileDescriptorProto>, Denial> {
    for version in VERSIONS {
        match converse(session, version).await {
            Err(Unanswered::Status(UNIMPLEMENTED)) => {}
            Err(Unanswered::Status(status)) => return Err(denied(&format!("it ends with status {status}"))),
            Err(Unanswered::Broken(denial)) => return Err(denial),
            Ok(files) => return Ok(files),
        }
    }
    Err(denied("it has no reflection service").hint("the role needs `grpc.descriptor_set`, or the service reflection"))
}

async fn converse(session: &HttpSession, version: &str) -> Result<Vec<FileDescriptorProto>, Unanswered> {
    let mut call = Call::begin(session.channel().await?, &session.url, version, MOST_BYTES).await?;
    let mut gathered = Gathered::default();
    while let Some(question) = gathered.next()? {
        call.say(&ServerReflectionRequest { host: String::new(), message_request: Some(question.clone()) }).await?;
        let answer: ServerReflectionResponse = call.hear().await?;
        gathered.take(&question, answer.message_response)?;
    }
    Ok(gathered.files.into_values().collect())
}

/// What was told so far.
#[derive(Debug, Default)]
struct Gathered {
    begun: bool,
    services: VecDeque<String>,
    imports: VecDeque<String>,
    asked_imports: HashSet<String>,
    asked: usize,
    bytes: usize,
    files: HashMap<String, FileDescriptorProto>,
}

impl Gathered {
    /// The next question; `None` when all is there.
    fn next(&mut self) -> Result<Option<MessageRequest>, Denial> {
        let question = if !std::mem::replace(&mut self.begun, true) {
            MessageRequest::ListServices(String::new())
        } else if let Some(service) = self.services.pop_front() {
            MessageRequest::FileContainingSymbol(service)
        } else if let Some(import) = self.import() {
            MessageRequest::FileByFilename(import)
        } else {
            return Ok(None);
        };
        self.asked += 1;
        if self.asked > MOST_ASKED {
            return Err(denied("it has more services and files than are asked for"));
        }
        Ok(Some(question))
    }

    /// A file that others import, and that has not come by itself.
    fn import(&mut self) -> Option<String> {
        while let Some(name) = self.imports.pop_front() {
            if !self.files.contains_key(&name) && self.asked_imports.insert(name.clone()) {
                return Some(name);
            }
        }
        None
    }

    fn take(&mut self, question: &MessageRequest, answer: Option<MessageResponse>) -> Result<(), Denial> {
        match (question, answer) {
            (MessageRequest::ListServices(_), Some(MessageResponse::ListServicesResponse(list))) => {
                if list.service.len() > MOST_ASKED {
                    return Err(denied("it has more services than are asked for"));
                }
                self.services = list.service.into_iter().map(|service| service.name).collect();
            }
            (_, Some(MessageResponse::FileDescriptorResponse(told))) => {
                for bytes in told.file_descriptor_proto {
                    self.file(&bytes)?;
                }
            }
            // Calls of a service that is listed and not told are of unknown types.
            (MessageRequest::FileContainingSymbol(_), Some(MessageResponse::ErrorResponse(_))) => {}
            (_, Some(MessageResponse::ErrorResponse(_))) => return Err(denied("a file that others import is missing")),
            _ => return Err(denied("it answers what it was not asked")),
        }
        Ok(())
    }

    fn file(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.bytes += bytes.len();
        // A message may have come compressed.
        if self.bytes > MOST_BYTES || self.files.len() >= MOST_FILES {
            return Err(denied("it has more files than are kept"));
        }
        let file = FileDescriptorProto::decode(bytes).map_err(|_| denied("it tells a file that is none"))?;
        if !self.files.contains_key(file.name()) {
            self.imports.extend(file.dependency.iter().cloned());
            self.files.insert(file.name().to_owned(), file);
        }
        Ok(())
    }
}

/// The types in some files, of which none imports itself, whichever way.
fn pool(files: Vec<FileDescriptorProto>) -> Result<DescriptorPool, Denial> {
    let (mut missing, mut imported_by) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
    for file in &files {
        let imports: HashSet<&str> = file.dependency.iter().map(String::as_str).collect();
        missing.insert(file.name(), imports.len());
        for import in imports {
            imported_by.entry(import).or_default().push(file.name());
        }
    }
    let mut ready: Vec<&str> = missing.iter().filter(|(_, missing)| **missing == 0).map(|(name, _)| *name).collect();
    let mut sorted = 0;
    while let Some(name) = ready.pop() {
        sorted += 1;
        for importer in imported_by.get(name).into_iter().flatten() {
            if let Some(left) = missing.get_mut(importer) {
                *left -= 1;
                if *left == 0 {
                    ready.push(importer);
                }
            }
        }
    }
    if sorted < files.len() {
        return Err(denied("its files import each other in a circle, or what is not there"));
    }
    let mut types = DescriptorPool::new();
    types.add_file_descriptor_protos(files).map_err(|error| denied("its files do not fit").caused_by(error))?;
    Ok(types)
}

fn denied(why: &str) -> Denial {
    Denial::new("gateway", Code::TargetLost, format!("the target does not tell the types of its messages: {why}"))
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost_types::{DescriptorProto, ServiceDescriptorProto};
    use tonic_reflection::pb::v1::{ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServiceResponse};

    use super::*;

    fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
        let package = name.trim_end_matches(".proto").to_owned();
        FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some(package),
            dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
            message_type: vec![DescriptorProto { name: Some("M".to_owned()), ..DescriptorProto::default() }],
            service: vec![ServiceDescriptorProto { name: Some("S".to_owned()), ..ServiceDescriptorProto::default() }],
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        }
    }

    fn list(services: impl IntoIterator<Item = String>) -> MessageResponse {
        let service = services.into_iter().map(|name| ServiceResponse { name }).collect();
        MessageResponse::ListServicesResponse(ListServiceResponse { service })
    }

    fn told(files: &[FileDescriptorProto]) -> MessageResponse {
        let file_descriptor_proto = files.iter().map(prost::Message::encode_to_vec).collect();
        MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
    }

    fn error() -> MessageResponse {
        MessageResponse::ErrorResponse(ErrorResponse { error_code: 5, error_message: String::new() })
    }

    /// What comes of a target that answers like this, and how often it was asked.
    fn gather(mut answer: impl FnMut(&MessageRequest) -> MessageResponse) -> (Result<DescriptorPool, Denial>, usize) {
        let mut gathered = Gathered::default();
        let all = loop {
            match gathered.next() {
                Err(denial) => break Err(denial),
                Ok(None) => break Ok(()),
                Ok(Some(question)) => {
                    if let Err(denial) = gathered.take(&question, Some(answer(&question))) {
                        break Err(denial);
                    }
                }
            }
        };
        let asked = gathered.asked;
        (all.and_then(|()| pool(gathered.files.into_values().collect())), asked)
    }

    #[test]
    fn what_does_not_come_by_itself_is_asked_for_once() {
        let (types, asked) = gather(|question| match question {
            MessageRequest::ListServices(_) => list(["a.S", "b.S", "gone.S"].map(str::to_owned)),
            MessageRequest::FileContainingSymbol(name) if name == "a.S" => {
                told(&[file("a.proto", &["c.proto", "d.proto"]), file("c.proto", &[])])
            }
            MessageRequest::FileContainingSymbol(name) if name == "b.S" => told(&[file("b.proto", &["d.proto"])]),
            MessageRequest::FileByFilename(name) if name == "d.proto" => told(&[file("d.proto", &[])]),
            _ => error(),
        });
        let types = types.expect("types");
        assert_eq!(asked, 5);
        assert!(["a.S", "b.S", "d.S"].iter().all(|name| types.get_service_by_name(name).is_some()));
        assert!(types.get_service_by_name("gone.S").is_none() && types.get_message_by_name("c.M").is_some());
    }

    #[test]
    fn a_hostile_target_is_left_in_peace() {
        let first = |question: &MessageRequest| matches!(question, MessageRequest::ListServices(_));
        let circle = gather(|question| match question {
            question if first(question) => list(["a.S".to_owned()]),
            MessageRequest::FileByFilename(_) => told(&[file("b.proto", &["a.proto"])]),
            _ => told(&[file("a.proto", &["b.proto"])]),
        });
        let own =
            gather(
                |question| {
                    if first(question) { list(["a.S".to_owned()]) } else { told(&[file("a.proto", &["a.proto"])]) }
                },
            );
        let mut last = 0;
        let endless = gather(|question| match question {
            question if first(question) => list(["0.S".to_owned()]),
            _ => {
                last += 1;
                told(&[file(&format!("{}.proto", last - 1), &[&format!("{last}.proto")])])
            }
        });
        let wide = gather(|_| list((0..2_000).map(|service| format!("{service}.S"))));
        let large = gather(|question| match question {
            question if first(question) => list((0..100).map(|service| format!("{service}.S"))),
            _ => told(&[file(&"x".repeat(100_000), &[])]),
        });
        let missing = gather(|question| match question {
            question if first(question) => list(["a.S".to_owned()]),
            MessageRequest::FileContainingSymbol(_) => told(&[file("a.proto", &["b.proto"])]),
            _ => error(),
        });
        let other = gather(|_| error());
        for (what, (types, asked), words) in [
            ("circle", circle, "circle"),
            ("own", own, "circle"),
            ("endless", endless, "more services and files"),
            ("wide", wide, "more services"),
            ("large", large, "more files"),
            ("missing", missing, "missing"),
            ("other", other, "missing"),
        ] {
            let denial = types.expect_err(what);
            assert!(denial.reason.contains(words) && asked <= MOST_ASKED + 1, "{what}: {} {asked}", denial.reason);
        }
    }

    #[test]
    fn files_that_do_not_fit_are_an_error() {
        let mut twice = file("b.proto", &[]);
        twice.package = Some("a".to_owned());
        assert!(pool(vec![file("a.proto", &[]), twice]).is_err());
        assert!(pool(vec![file("a.proto", &["b.proto"])]).is_err());
    }
}
