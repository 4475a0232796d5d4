//! Time of each stage and of the whole execution: `cargo bench -p auriga-micro --bench times`. Items are transfers.

use auriga_micro::stage::{Ready, Stage, TRANSFERS, Work};
use auriga_micro::whole::Whole;
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, work: Work, stage: Stage) {
    bencher
        .counter(ItemsCount::new(TRANSFERS))
        .with_inputs(|| Ready::before(work, stage))
        .bench_local_values(Ready::run);
}

#[divan::bench(sample_count = 20, sample_size = 1, args = [
    Stage::Parse, Stage::Append, Stage::Begin, Stage::Route, Stage::Hop, Stage::Legs, Stage::Ids, Stage::Vote,
    Stage::Apply, Stage::Reply, Stage::Recover,
])]
fn plain(bencher: Bencher<'_, '_>, stage: Stage) {
    measure(bencher, Work::Plain, stage);
}

#[divan::bench(sample_count = 20, sample_size = 1, args = [
    Stage::Route, Stage::Hop, Stage::Legs, Stage::Ids, Stage::Vote, Stage::Gather, Stage::Scatter, Stage::Apply,
    Stage::Reply,
])]
fn tight(bencher: Bencher<'_, '_>, stage: Stage) {
    measure(bencher, Work::Tight, stage);
}

#[divan::bench(sample_count = 20, sample_size = 1, args = [1, 2, 4, 8, 16, 32, 64])]
fn whole(bencher: Bencher<'_, '_>, shards: u16) {
    bencher
        .counter(ItemsCount::new(Whole::transfers(shards)))
        .with_inputs(|| Whole::before(shards))
        .bench_local_values(Whole::run);
}
