//! A unary call of gRPC on a connection that stays.

use std::time::{Duration, Instant};

use grpc_customers::shop::GetRequest;
use grpc_customers::shop::customers_client::CustomersClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::processor::Spent;
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const P50: &str = "a call of gRPC, p50";
const P99: &str = "a call of gRPC, p99";
const PER_ROUND: usize = 100;

/// A client of one peer.
struct Caller {
    client: CustomersClient<Channel>,
    token: Option<MetadataValue<Ascii>>,
}

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut callers: Vec<_> =
        stand.peers.iter().map(|peer| (runtime.block_on(Caller::connect(peer)), Vec::new())).collect();
    let (rounds, mut spent) = (options.or(options.rounds, 100, 10), Spent::new(stand));
    for round in 0..=rounds {
        for turn in stand.turns(round) {
            let (caller, times) = &mut callers[turn];
            let mut call_all = || {
                let taken = runtime.block_on(caller.call_all());
                taken.unwrap_or_else(|status| panic!("a call through {}: {status}", stand.peers[turn].name))
            };
            // The first round warms up.
            if round == 0 {
                call_all();
            } else {
                times.extend(spent.during(stand, turn, call_all));
            }
        }
    }
    let mut row = |metric, percent| {
        let values = callers.iter_mut().map(|(_, times)| Some(quantile(times, percent).as_secs_f64() * 1e6));
        Row::new(metric, Unit::Microseconds, values.collect())
    };
    let times = vec![row(P50, 50), row(P99, 99)];
    [times, spent.rows(stand, "a call of gRPC", rounds * PER_ROUND)].concat()
}

impl Caller {
    async fn connect(peer: &Peer) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", peer.grpc_port)).expect("a URL");
        let channel = endpoint.tcp_nodelay(true).connect().await;
        let channel = channel.unwrap_or_else(|error| panic!("gRPC through {}: {error}", peer.name));
        let token = peer.grpc_token.as_ref().map(|token| token.parse().expect("a token is ASCII"));
        Self { client: CustomersClient::new(channel), token }
    }

    async fn call_all(&mut self) -> Result<Vec<Duration>, Status> {
        let mut times = Vec::with_capacity(PER_ROUND);
        for _ in 0..PER_ROUND {
            let mut request = Request::new(GetRequest { id: 1 });
            if let Some(token) = &self.token {
                request.metadata_mut().insert("hoop-token", token.clone());
            }
            let start = Instant::now();
            let customer = self.client.get(request).await?;
            times.push(start.elapsed());
            assert_eq!(customer.get_ref().id, 1, "who was asked for");
        }
        Ok(times)
    }
}
