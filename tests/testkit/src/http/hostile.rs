//! The gRPC service of the examples, which answers without end or sense when it is asked for its types.

use futures::stream::{self, BoxStream, StreamExt as _};
use grpc_customers::Shop;
use grpc_customers::shop::customers_server::CustomersServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server::{ServerReflection, ServerReflectionServer};
use tonic_reflection::pb::v1::{
    FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};

/// What such a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Files that import each other in a circle.
    Circle,
    /// Files that each import one more.
    Endless,
    /// One message of 8 MiB.
    Huge,
    /// Messages without end that nobody has asked for.
    Flood,
    /// Nothing.
    Nothing,
}

/// Serves it until the listener fails.
pub(super) async fn serve(listener: TcpListener, told: Told) {
    let server =
        Server::builder().add_service(CustomersServer::new(Shop)).add_service(ServerReflectionServer::new(told));
    server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves until it is stopped");
}

fn response(message: MessageResponse) -> ServerReflectionResponse {
    ServerReflectionResponse { message_response: Some(message), ..ServerReflectionResponse::default() }
}

fn services(names: impl IntoIterator<Item = String>) -> ServerReflectionResponse {
    let service = names.into_iter().map(|name| ServiceResponse { name }).collect();
    response(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
}

/// A `FileDescriptorProto` with a name and one import, both of less than 128 bytes.
fn file(name: &str, import: &str) -> ServerReflectionResponse {
    let field = |tag: u8, text: &str| {
        let len = u8::try_from(text.len()).expect("it is short");
        [&[tag, len], text.as_bytes()].concat()
    };
    let file_descriptor_proto = vec![[field(0x0a, name), field(0x1a, import)].concat()];
    response(MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
}

impl Told {
    fn answer(self, number: usize, question: ServerReflectionRequest) -> ServerReflectionResponse {
        match (question.message_request, self) {
            (Some(MessageRequest::ListServices(_)), Self::Huge) => services(["x".repeat(8 << 20)]),
            (Some(MessageRequest::ListServices(_)), _) => services(["shop.v1.Customers".to_owned()]),
            (Some(MessageRequest::FileByFilename(name)), Self::Circle) => file(&name, "shop.proto"),
            (_, Self::Circle) => file("shop.proto", "other.proto"),
            _ => file(&format!("{number}.proto"), &format!("{}.proto", number + 1)),
        }
    }
}

#[tonic::async_trait]
impl ServerReflection for Told {
    type ServerReflectionInfoStream = BoxStream<'static, Result<ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let told = *self;
        Ok(Response::new(match told {
            Self::Flood => stream::repeat_with(|| Ok(services((0..1_000).map(|name| format!("{name:01000}"))))).boxed(),
            Self::Nothing => stream::pending().boxed(),
            _ => {
                let questions = request.into_inner().enumerate();
                questions.map(move |(number, question)| question.map(|question| told.answer(number, question))).boxed()
            }
        }))
    }
}
