//! What a guardrail adds to a statement: one that a session sent before, and new ones that must be parsed.
//!
//! `cargo bench -p hoop-bench --bench guardrail`

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::executor::block_on;
use hoop_core::{Phase, Plugin as _, Request, SessionPlugin, Statement, StatementId, Verdict};
use hoop_gateway::plugins::guardrail::{Guardrail, GuardrailRules};
use hoop_testkit::postgres_role;

const KINDS: &str = r#"{ "rules": [{ "name": "r", "kinds": ["drop_table", "truncate", "delete_without_where"] }] }"#;
/// Everything that a rule can look at; the pattern has the statement written out.
const ALL: &str = r#"{ "rules": [
    { "name": "a", "kinds": ["drop_table", "truncate", "delete_without_where"] },
    { "name": "b", "tables": ["payroll.salaries", "secret*"] },
    { "name": "c", "functions": ["pg_read_*", "lo_*", "dblink*"] },
    { "name": "d", "pattern": "for update" }
] }"#;

/// A point select, and one of a kind that reports are made of. `{}` is where each is another one.
const STATEMENTS: [(&str, &str); 2] = [
    ("short", "SELECT abalance FROM pgbench_accounts WHERE aid = {};"),
    (
        "long",
        "with recent as (select customer, sum(total) as spent, count(*) filter (where total > {}) as large from orders o \
         join lines l on l.order_id = o.id where o.placed_at > now() - interval '30 days' group by customer), ranked as \
         (select r.*, row_number() over (partition by region order by spent desc) as place from recent r join customers c \
         on c.id = r.customer) select c.name, c.region, r.spent, r.large, case when r.place = 1 then 'first' when r.place \
         < 10 then 'top' else 'other' end as class from ranked r join customers c on c.id = r.customer where exists \
         (select 1 from addresses a where a.customer = c.id and a.country in ('DE', 'FR', 'IT')) order by 3 desc limit 50",
    ),
];

fn session(rules: &str) -> Box<dyn SessionPlugin> {
    let rules: GuardrailRules = serde_json::from_str(rules).expect("rules");
    let opened =
        block_on(Guardrail::new().defaults(rules).open(&hoop_testkit::session(postgres_role()))).expect("usable rules");
    opened.expect("there are rules")
}

fn statement(text: Bytes) -> Request {
    let settings = Default::default();
    Request::Statement(Statement { id: StatementId(1), phase: Phase::Query, text, settings, parameters: None })
}

fn judge(plugin: &mut dyn SessionPlugin, text: Bytes) {
    match plugin.on_request(statement(text)) {
        Verdict::Pass(request) => drop(black_box(request)),
        Verdict::Deny(denial) => panic!("a harmless statement: {denial}"),
        Verdict::Hold(_) | Verdict::Review(..) => panic!("these rules hold nothing"),
    }
}

fn guardrail(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("guardrail");
    for (length, text) in STATEMENTS {
        let mut plugin = session(ALL);
        let repeated = Bytes::from(text.replace("{}", "1"));
        group.bench_function(format!("{length}, repeated"), |bencher| {
            bencher.iter(|| judge(&mut *plugin, repeated.clone()));
        });
        for (name, rules) in [("kinds", KINDS), ("all criteria", ALL)] {
            let mut plugin = session(rules);
            let texts: Vec<_> = (0..64).map(|number| Bytes::from(text.replace("{}", &number.to_string()))).collect();
            let mut texts = texts.iter().cycle();
            group.bench_function(format!("{length}, new, {name}"), |bencher| {
                bencher.iter(|| texts.next().map(|text| judge(&mut *plugin, text.clone())));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, guardrail);
criterion_main!(benches);
