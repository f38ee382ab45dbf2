//! Detection on one core: all built-in detectors over rows of which one in ten has a hit.
//!
//! `cargo bench -p hoop-bench --bench detect`

use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::Range;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoop_gateway::plugins::masking::detect::Detectors;

const NAMES: [&str; 5] = ["Ada Lovelace", "Grace Hopper", "Juan de la Cruz", "Wei Zhang", "Olga Ivanova"];
const TEXT: &str = "The parcel was handed to a neighbour; please call again in the morning, thank you.";
const HITS: [&str; 6] = [
    "ada.lovelace@example.com",
    "4111 1111 1111 1111",
    "DE89370400440532013000",
    "415-555-2671",
    "10.20.30.40",
    "078-05-1121",
];

/// Rows as PostgreSQL frames them: id, hash, name, time, text, and a value of which one in ten is sensitive.
fn rows(count: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut bytes, mut cells) = (Vec::new(), Vec::new());
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for row in 0..count {
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut time = String::new();
        let (hour, minute, second) = (row % 24, row % 60, row % 59);
        let _ = write!(time, "2024-{:02}-{:02} {hour:02}:{minute:02}:{second:02}", row % 12 + 1, row % 28 + 1);
        let _ = write!(time, ".{:06}+00", random() % 1_000_000);
        let text = TEXT.get(..20 + (random() % 60) as usize).unwrap_or(TEXT);
        let hit = if row % 10 == 0 { HITS[row / 10 % HITS.len()] } else { "none" };
        let hash = format!("{:016x}{:016x}", random(), random());
        let id = (100_000 + row).to_string();
        bytes.extend([b'D', 0, 0, 0, 150, 0, 6]);
        for cell in [id.as_str(), &hash, NAMES[row % NAMES.len()], &time, text, hit] {
            bytes.extend((cell.len() as u32).to_be_bytes());
            cells.push(bytes.len()..bytes.len() + cell.len());
            bytes.extend(cell.bytes());
        }
    }
    (bytes, cells)
}

fn detect(criterion: &mut Criterion) {
    let (bytes, cells) = rows(400);
    let detectors = Detectors::all();
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("batch", |bencher| {
        bencher.iter(|| {
            let mut hits = 0;
            detectors.find_in_cells(black_box(&bytes), cells.iter().cloned(), |_, found| hits += found.len());
            hits
        });
    });
    group.bench_function("cells", |bencher| {
        let mut hits = Vec::new();
        bencher.iter(|| {
            hits.clear();
            for cell in &cells {
                detectors.find(bytes.get(cell.clone()).unwrap_or_default(), &mut hits);
            }
            hits.len()
        });
    });
    group.finish();
}

criterion_group!(benches, detect);
criterion_main!(benches);
