//! Instructions of each stage and of the whole execution, counted by callgrind: `bench/instructions`.

#![allow(missing_docs, unused_qualifications, reason = "of what gungraun's macros make")]

use auriga_micro::stage::Ready;
use auriga_micro::stage::Stage::{
    Append, Apply, Begin, Gather, Hop, Ids, Legs, Parse, Recover, Reply, Route, Scatter, Vote,
};
use auriga_micro::stage::Work::{Plain, Tight};
use auriga_micro::whole::Whole;
use gungraun::{library_benchmark, library_benchmark_group, main};
use std::hint::black_box;

#[library_benchmark]
#[bench::parse(args = (Plain, Parse), setup = Ready::before)]
#[bench::append(args = (Plain, Append), setup = Ready::before)]
#[bench::begin(args = (Plain, Begin), setup = Ready::before)]
#[bench::route(args = (Plain, Route), setup = Ready::before)]
#[bench::hop(args = (Plain, Hop), setup = Ready::before)]
#[bench::legs(args = (Plain, Legs), setup = Ready::before)]
#[bench::ids(args = (Plain, Ids), setup = Ready::before)]
#[bench::vote(args = (Plain, Vote), setup = Ready::before)]
#[bench::apply(args = (Plain, Apply), setup = Ready::before)]
#[bench::reply(args = (Plain, Reply), setup = Ready::before)]
#[bench::recover(args = (Plain, Recover), setup = Ready::before)]
fn plain(ready: Ready) -> Ready {
    black_box(ready.run())
}

#[library_benchmark]
#[bench::route(args = (Tight, Route), setup = Ready::before)]
#[bench::hop(args = (Tight, Hop), setup = Ready::before)]
#[bench::legs(args = (Tight, Legs), setup = Ready::before)]
#[bench::ids(args = (Tight, Ids), setup = Ready::before)]
#[bench::vote(args = (Tight, Vote), setup = Ready::before)]
#[bench::gather(args = (Tight, Gather), setup = Ready::before)]
#[bench::scatter(args = (Tight, Scatter), setup = Ready::before)]
#[bench::apply(args = (Tight, Apply), setup = Ready::before)]
#[bench::reply(args = (Tight, Reply), setup = Ready::before)]
fn tight(ready: Ready) -> Ready {
    black_box(ready.run())
}

#[library_benchmark]
#[bench::on_1(args = (1), setup = Whole::before)]
#[bench::on_2(args = (2), setup = Whole::before)]
#[bench::on_4(args = (4), setup = Whole::before)]
#[bench::on_8(args = (8), setup = Whole::before)]
#[bench::on_16(args = (16), setup = Whole::before)]
#[bench::on_32(args = (32), setup = Whole::before)]
#[bench::on_64(args = (64), setup = Whole::before)]
fn whole(before: Whole) -> Whole {
    black_box(before.run())
}

#[library_benchmark]
#[bench::on_3(args = (3), setup = Whole::before_few)]
#[bench::on_12(args = (12), setup = Whole::before_few)]
fn few(before: Whole) -> Whole {
    black_box(before.run())
}

library_benchmark_group!(name = stages, benchmarks = [plain, tight, whole, few]);
main!(library_benchmark_groups = stages);
