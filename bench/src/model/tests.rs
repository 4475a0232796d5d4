//! What the model makes of replies.

use super::*;
use crate::workload::Workload;

const LINKED: u32 = TransferCode::LinkedEventFailed.number();
const EXCEEDS: u32 = TransferCode::ExceedsCredits.number();
const NOT_FOUND: u32 = TransferCode::PendingTransferNotFound.number();

fn model(workload: Workload) -> Model {
    let plan = Plan { mix: workload.mix(), seed: 3, run: 9, ..Plan::plain(5, 10) };
    Model::new(plan, 0)
}

/// Sends a batch and has it executed, except these.
fn execute(model: &mut Model, refused: &[(u32, u32)]) -> Counts {
    assert!(model.may_send());
    let number = model.send(0, &mut [Transfer::default(); 10]);
    let refused: Vec<_> = refused.iter().map(|(index, code)| EventResult::refused(*index, *code)).collect();
    model.executed(number, 1_000 * (number + 1), &refused)
}

#[test]
fn a_chain_is_refused_as_a_whole_for_one_reason() {
    let cases: [(&[(u32, u32)], u64); 7] = [
        (&[], 0),
        (&[(0, LINKED), (1, EXCEEDS), (2, LINKED), (3, LINKED)], 0),
        (&[(8, EXCEEDS), (9, LINKED)], 0),
        (
            &[
                (0, EXCEEDS),
                (1, LINKED),
                (2, LINKED),
                (3, LINKED),
                (4, EXCEEDS),
                (5, LINKED),
                (6, LINKED),
                (7, LINKED),
            ],
            0,
        ),
        (&[(0, EXCEEDS), (1, LINKED)], 1),
        (&[(2, LINKED), (3, EXCEEDS), (4, EXCEEDS), (5, LINKED)], 2),
        (&[(8, LINKED), (9, LINKED)], 1),
    ];
    for (refused, contradictions) in cases {
        let mut model = model(Workload::Linked);
        let counts = execute(&mut model, refused);
        assert_eq!(model.contradictions.count, contradictions, "{refused:?}");
        assert_eq!(counts.created + counts.refused, 10);
    }
    assert_eq!(execute(&mut model(Workload::Linked), &[]).chains, 3);
}

#[test]
fn a_resolution_fares_as_its_pending_transfer_did() {
    // Index 4 is pending in the first batch and resolved in the second; 5 is plain, then pending.
    type Pairs<'a> = &'a [(u32, u32)];
    let cases: [(Pairs<'_>, Pairs<'_>, u64); 6] = [
        (&[], &[], 0),
        (&[(4, EXCEEDS)], &[(4, NOT_FOUND)], 0),
        (&[(4, EXCEEDS)], &[(5, EXCEEDS)], 1),
        (&[], &[(4, NOT_FOUND)], 1),
        (&[], &[(4, EXCEEDS)], 0),
        (&[(5, EXCEEDS)], &[], 0),
    ];
    for (first, second, contradictions) in cases {
        let mut model = model(Workload::TwoPhase);
        execute(&mut model, first);
        execute(&mut model, second);
        assert_eq!(model.contradictions.count, contradictions, "{first:?} {second:?}");
    }
}

#[test]
fn sums_hold_what_is_pending_and_what_is_posted() {
    let mut model = model(Workload::TwoPhase);
    let first = execute(&mut model, &[]);
    assert_eq!((first.created, first.pendings, first.posts + first.voids), (10, 5, 0));
    let second = execute(&mut model, &[]);
    assert_eq!((second.created, second.pendings, second.posts + second.voids), (10, 5, 5));
    let (mut pending, mut posted) = (0, 0);
    for event in model.plan.events(0, 0).filter(|event| event.kind == Kind::Plain) {
        posted += event.draw.amount as i64;
    }
    for Event { draw, kind, .. } in model.plan.events(0, 1) {
        match kind {
            Kind::Pending => pending += draw.amount as i64,
            Kind::Post { .. } => posted += draw.amount as i64,
            Kind::Plain | Kind::Void => {}
        }
    }
    let mut whole = Sums::default();
    model.sums.iter().for_each(|sums| whole.add(sums));
    let debits = (whole.debits_pending, whole.debits_posted);
    assert_eq!(debits, (pending, posted));
    assert_eq!(debits, (whole.credits_pending, whole.credits_posted));
}

#[test]
fn plain_transfers_are_summed_up_once() {
    let mut model = model(Workload::Plain);
    let counts = execute(&mut model, &[(3, EXCEEDS)]);
    assert_eq!((counts.created, counts.refused), (9, 1));
    let number = model.send(0, &mut [Transfer::default(); 10]);
    model.turned_away(number);
    execute(&mut model, &[]);
    assert!(model.sums.iter().all(|sums| *sums == Sums::default()));
    for _ in 0..2 {
        model.sum_up();
        let amount = |event: Event| event.draw.amount as i64;
        let third = model.plan.events(0, 0).nth(3).map(amount).expect("there are ten");
        let sent = [0, 2].into_iter().flat_map(|batch| model.plan.events(0, batch)).map(amount);
        let expected = sent.sum::<i64>() - third;
        let sum_of = |side: fn(&Sums) -> i64| model.sums.iter().map(side).sum::<i64>();
        assert_eq!(sum_of(|sums| sums.debits_posted), expected);
        assert_eq!(sum_of(|sums| sums.credits_posted), expected);
    }
}

/// A model that can remember little has the sums of one that remembers everything, and makes what it remembers again as it was.
#[test]
fn what_is_forgotten_stays_in_the_sums() {
    for workload in [Workload::Plain, Workload::TwoPhase, Workload::Mixed] {
        let plan = Plan { mix: workload.mix(), lag: 4, ..Plan::plain(5, 10) };
        let (mut all, mut few) = (Model::new(plan, 0), Model::bounded(plan, 0, 600));
        for number in 0..500 {
            let ms = number as u32 * 3;
            for model in [&mut all, &mut few] {
                assert_eq!(model.send(ms, &mut [Transfer::default(); 10]), number);
                let refused = if number % 7 == 0 { vec![EventResult::refused(2, EXCEEDS)] } else { vec![] };
                model.executed(number, number * 100, &refused);
            }
        }
        all.sum_up();
        few.sum_up();
        assert_eq!(
            (&all.sums, all.executed, all.kept.remembered()),
            (&few.sums, few.executed, 500),
            "{workload:?}"
        );
        assert!(few.kept.remembered() < 60, "{workload:?}: {}", few.kept.remembered());
        for place in 0..few.kept.remembered() {
            let number = few.kept.number_at(place);
            let sent: Vec<Transfer> = few.transfers(number).collect();
            assert!(sent.iter().copied().eq(all.transfers(number)), "{workload:?}: {number}");
            assert_eq!(few.oldest_ms(number), all.oldest_ms(number));
            let found: Vec<Transfer> = (0..)
                .zip(&sent)
                .filter(|(index, _)| number % 7 > 0 || *index != 2)
                .map(|(index, sent)| Transfer { timestamp: number * 100 + index, ..*sent })
                .collect();
            let mut differences = Differences::default();
            let right = few.compare(number, &mut found.iter().peekable(), &mut differences);
            let refused = u64::from(number % 7 == 0);
            assert_eq!(
                (right, differences.count),
                ((10 - refused, refused), 0),
                "{workload:?}: {differences:?}"
            );
        }
    }
}

#[test]
fn what_resolves_waits_for_the_answer() {
    let mut model = model(Workload::TwoPhase);
    let number = model.send(0, &mut [Transfer::default(); 10]);
    assert!(!model.may_send());
    model.turned_away(number);
    assert!(model.may_send());
}
