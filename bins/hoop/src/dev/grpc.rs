//! The sample gRPC service: customers, by one call and as a stream, with reflection and health.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::sample::{self, CUSTOMERS, Sample};
use crate::failure::Failure;
use generated::customers_server::{Customers, CustomersServer};
use generated::{Customer, GetRequest, ListRequest, ListResponse, WatchRequest};

mod generated {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "it is generated")]
    tonic::include_proto!("demo.v1");
    pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/customers.bin"));
}

/// The role on it.
pub(crate) const ROLE: &str = "demo-grpc";
const PORT: u16 = 18890;
/// A stream has a message as often.
const PACE: Duration = Duration::from_millis(500);

/// Starts it.
pub(crate) async fn start(port_offset: Option<u16>) -> Result<Sample, Failure> {
    let reflection =
        tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(generated::DESCRIPTORS);
    let reflection = reflection.build_v1()?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<CustomersServer<Service>>().await;
    let serve = |listener: TcpListener| async move {
        let server = Server::builder().add_service(CustomersServer::new(Service)).add_service(reflection);
        // It ends with the listener, which nobody takes away from it.
        let _ = server.add_service(health).serve_with_incoming(TcpListenerStream::new(listener)).await;
    };
    Sample::start(PORT, port_offset, "2", serve).await
}

struct Service;

impl From<sample::Customer> for Customer {
    fn from(customer: sample::Customer) -> Self {
        let sample::Customer { id, name, email, card_number } = customer;
        Self { id, name: name.to_owned(), email: email.to_owned(), card_number: card_number.to_owned() }
    }
}

#[tonic::async_trait]
impl Customers for Service {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Customer>, Status> {
        let id = request.into_inner().id;
        let found = sample::by_id(id).ok_or_else(|| Status::not_found(format!("there is no customer {id}")))?;
        Ok(Response::new(found.into()))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        Ok(Response::new(ListResponse { customers: CUSTOMERS.map(Customer::from).to_vec() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<Customer, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let most =
            usize::try_from(request.into_inner().most).map_err(|_| Status::invalid_argument("most is negative"))?;
        let most = if most == 0 { usize::MAX } else { most };
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(PACE));
        let customers = futures::stream::iter(CUSTOMERS.into_iter().cycle().take(most));
        Ok(Response::new(Box::pin(customers.zip(ticks).map(|(customer, _)| Ok(customer.into())))))
    }
}
