//! Masking of what programs write, on one core: lines without values, plain and coloured, and lines of which one in ten has one.
//!
//! `cargo bench -p hoop-bench --bench stream`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use hoop_core::{ChannelId, Output, OutputStream, PluginChain, Response};
use hoop_gateway::plugins::masking::Masking;
use hoop_testkit::{postgres_role, session};

/// What a read of a socket gives.
const PIECE: usize = 32 << 10;

fn lines(line: impl Fn(usize) -> String) -> Bytes {
    let mut text = String::new();
    for number in 0.. {
        text.push_str(&line(number));
        if text.len() >= PIECE {
            break;
        }
    }
    text.into()
}

fn stream(criterion: &mut Criterion) {
    let plugins = PluginChain::new(vec![Arc::new(Masking::new(*b"a secret of at least 32 bytes ..."))]);
    let mut chain = block_on(plugins.open(&session(postgres_role()))).expect("default rules");
    let file =
        |number: usize| format!("-rw-r--r-- 1 ann staff {:>6} Nov 27 14:05 report-{number}.txt\r\n", number * 37);
    let coloured =
        |number: usize| format!("\x1b[0m\x1b[01;34mfolder-{number}\x1b[0m  \x1b[32mscript-{number}.sh\x1b[0m\r\n");
    let values = |number: usize| match number % 10 {
        0 => format!("{number} ada.lovelace@example.com 4111 1111 1111 1111\r\n"),
        _ => file(number),
    };
    let mut group = criterion.benchmark_group("stream");
    for (name, bytes) in [("plain", lines(file)), ("coloured", lines(coloured)), ("values", lines(values))] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let stream = OutputStream::Stdout;
                let bytes = black_box(bytes.clone());
                let output =
                    Output { channel: ChannelId(1), stream, bytes, terminal: true, exact: false, held_back: false };
                chain.response(Response::Output(output))
            });
        });
    }
}

criterion_group!(benches, stream);
criterion_main!(benches);
