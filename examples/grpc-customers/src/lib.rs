//! A small gRPC service with customers: one call of each kind, with reflection and health.

use futures::stream::{BoxStream, StreamExt as _};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// What is generated from `proto/shop.proto`.
#[allow(missing_docs, reason = "generated")]
pub mod shop {
    tonic::include_proto!("shop.v1");
}

use shop::customers_server::{Customers, CustomersServer};
use shop::{Counted, Customer, GetRequest, ListRequest};

/// What reflection tells: a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shop.bin"));

const CUSTOMERS: &[(u32, &str, &str, &str)] = &[
    (1, "Ada Lovelace", "ada@example.com", "4111 1111 1111 1111"),
    (2, "Grace Hopper", "grace@example.org", "5500 0055 5555 5559"),
    (3, "Alan Turing", "alan@example.net", "3400 0000 0000 009"),
];

/// Serves the service until the listener fails.
///
/// # Errors
/// When it does.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<CustomersServer<Shop>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Server::builder()
        .add_service(CustomersServer::new(Shop))
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Shop;

fn all() -> impl Iterator<Item = Customer> {
    let customer = |&(id, name, email, card): &(u32, &str, &str, &str)| Customer {
        id,
        name: name.to_owned(),
        email: email.to_owned(),
        card: card.to_owned(),
    };
    CUSTOMERS.iter().map(customer)
}

#[tonic::async_trait]
impl Customers for Shop {
    type ListStream = BoxStream<'static, Result<Customer, Status>>;
    type ShoutStream = BoxStream<'static, Result<Customer, Status>>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Customer>, Status> {
        let id = request.get_ref().id;
        let found = all().find(|customer| customer.id == id);
        found.map(Response::new).ok_or_else(|| Status::not_found(format!("there is no customer {id}")))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let wanted = request.into_inner().name;
        let found = all().filter(move |customer| customer.name.contains(&wanted)).map(Ok);
        Ok(Response::new(futures::stream::iter(found.collect::<Vec<_>>()).boxed()))
    }

    async fn count(&self, request: Request<Streaming<Customer>>) -> Result<Response<Counted>, Status> {
        let (mut came, mut counted) = (request.into_inner(), Counted::default());
        while let Some(customer) = came.message().await? {
            counted.customers += 1;
            counted.characters += customer.name.chars().count() as u64;
        }
        Ok(Response::new(counted))
    }

    async fn shout(&self, request: Request<Streaming<Customer>>) -> Result<Response<Self::ShoutStream>, Status> {
        let loud = |customer: Customer| Customer { name: customer.name.to_uppercase(), ..customer };
        Ok(Response::new(request.into_inner().map(move |customer| customer.map(loud)).boxed()))
    }
}
