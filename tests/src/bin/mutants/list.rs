//! The mutations: what is made wrong in the engine, and by what it must be noticed.

/// What must notice a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catcher {
    /// The random logs, within so many seeds from 0 on.
    Seeds(u64),
    /// The written logs.
    Cases,
    /// Whole shards on random logs through power failures, within so many seeds from 0 on.
    Lives(u64),
}

/// One mistake.
#[derive(Debug)]
pub struct Mutation {
    /// What is wrong then.
    pub name: &'static str,
    /// The file, below `shards/src`.
    pub file: &'static str,
    /// Stands in the file exactly once.
    pub text: &'static str,
    /// What stands there instead.
    pub replacement: &'static str,
    /// What must notice it.
    pub catcher: Catcher,
}

const fn mutation(
    catcher: Catcher,
    file: &'static str,
    name: &'static str,
    text: &'static str,
    replacement: &'static str,
) -> Mutation {
    Mutation { name, file, text, replacement, catcher }
}

const EPOCH: &str = "execute/epoch.rs";
const MAIL: &str = "execute/mail.rs";
const ROUTE: &str = "execute/route.rs";
const VOTE: &str = "execute/vote.rs";
const SETTLE: &str = "execute/vote/settle.rs";
const VERDICTS: &str = "execute/verdicts.rs";
const REGISTER: &str = "execute/register.rs";
const SOLVE: &str = "execute/solve.rs";
const OUTCOME: &str = "execute/outcome.rs";
const SERIAL: &str = "execute/serial.rs";
const PACER: &str = "pacer.rs";
const LEAD: &str = "lead.rs";
const COMMIT: &str = "commit.rs";
const SHARD: &str = "shard.rs";
const ANSWER: &str = "answer.rs";
const FETCH: &str = "fetch.rs";
const RULES: &str = "ledger/rules.rs";
const TERMS: &str = "ledger/terms.rs";
const REPLY: &str = "reply.rs";

use Catcher::{Cases, Lives, Seeds};

/// All mutations.
pub const MUTATIONS: &[Mutation] = &[
    // Route
    mutation(
        Seeds(100),
        ROUTE,
        "accounts are sent after all legs",
        "        self.accounts.flush(mail);\n        self.legs.flush(mail);",
        "        self.legs.flush(mail);\n        self.accounts.flush(mail);",
    ),
    mutation(
        Cases,
        ROUTE,
        "a full chunk of legs is sent before the accounts that came first",
        "if !self.legs.has_room(to) {",
        "if false {",
    ),
    mutation(
        Seeds(100),
        ROUTE,
        "a faulty transfer consumes its id",
        "kind: bit(fault.is_some(), Note::PROBE)",
        "kind: bit(false, Note::PROBE)",
    ),
    // Vote: legs
    mutation(
        Seeds(100),
        VOTE,
        "an account is there before its creation",
        "|| is_before(*slot, leg.id.index, booth)",
        "|| is_before(*slot, u16::MAX, booth)",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "undecided debits of the epoch are ignored",
        "Balance { debits: high.debits, ..low })",
        "low)",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "undecided credits of the epoch are ignored",
        "Balance { credits: high.credits, ..low })",
        "low)",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "money that may come in the epoch is ignored",
        "(Balance { debits: low.debits, ..high },",
        "(low,",
    ),
    mutation(
        Seeds(100),
        VERDICTS,
        "hold is not sent to the other leg",
        "if shard != mail.shard() && !shards[..i].contains(&shard) {",
        "if false && !shards[..i].contains(&shard) {",
    ),
    mutation(
        Seeds(100),
        VERDICTS,
        "hold is ignored by the leg's own shard",
        "        self.note(&Vote::hold(index, unit));",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "an overflow forgets the legs that were applied",
        "self.take_tracked(leg.slot, leg.amount, ledger, leg.leg, booth);",
        "let _ = ledger;",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "an overflow is judged with what is applied and may be refused",
        "            self.track_everything(booth);",
        "            return refuse_leg(leg.id, TransferCode::OverflowsDebitsPosted, Detail::NONE, booth);",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a leg's refusal does not reach the id",
        "Told::Some([ShardId(leg.peer), ShardId(leg.id_shard), booth.mail.shard()])",
        "Told::Some([ShardId(leg.peer), ShardId(leg.peer), booth.mail.shard()])",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a leg's refusal does not reach the other leg",
        "Told::Some([ShardId(leg.peer), ShardId(leg.id_shard), booth.mail.shard()])",
        "Told::Some([booth.mail.shard(), ShardId(leg.id_shard), booth.mail.shard()])",
    ),
    // Vote: ids
    mutation(
        Seeds(100),
        REGISTER,
        "a probe consumes an id",
        "        if note.is(Note::PROBE) {\n            if let Some",
        "        if false {\n            if let Some",
    ),
    mutation(
        Seeds(100),
        REGISTER,
        "a duplicate's legs are not refused",
        "            Told::Some([debit, credit, credit])",
        "            { let _ = (debit, credit); Told::Some([booth.epoch.arrival(index); 3]) }",
    ),
    mutation(
        Seeds(100),
        REGISTER,
        "a duplicate of the same epoch is not held",
        "original_unit: original.unit });\n                booth.verdicts.count_held();",
        "original_unit: original.unit });",
    ),
    // Gather
    mutation(
        Seeds(100),
        SETTLE,
        "the code of a transfer that is refused already is not evaluated",
        "unit_refused && !leg.held && !id.kind.is(LegKind::LINKED)",
        "unit_refused && !id.kind.is(LegKind::LINKED)",
    ),
    mutation(
        Seeds(100),
        SETTLE,
        "decided legs are not added to what is known",
        "            account.known.add(id.kind.half(leg.amount));\n",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "only an account's last leg says whether any is held",
        "tracked.any_held |= leg.held;",
        "tracked.any_held = leg.held;",
    ),
    // Solve
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator forgets what it accepted",
        "Balance { debits: plus(known.debits, added.debits), credits",
        "let _ = added.debits;\n        Balance { debits: known.debits, credits",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator applies what was refused before",
        "if failed || refused_before {\n            self.refused",
        "if failed {\n            self.refused",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator's refusal does not reach the other leg and the id",
        "Told::Some([*shard, ShardId(leg.id.peer), ShardId(leg.id.id_shard)])",
        "Told::Some([*shard; 3])",
    ),
    mutation(
        Seeds(100),
        OUTCOME,
        "the coordinator takes the last code in the order of precedence",
        "*place = rank.min(*place);",
        "*place = rank;",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "a duplicate does not hear that its original was refused in the vote",
        "if note.original_refused != 0 || self",
        "if self",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "a duplicate does not hear that the coordinator refused its original",
        "|| self.refused[usize::from(note.original_unit)] {",
        "{",
    ),
    // Settle
    mutation(
        Seeds(100),
        SETTLE,
        "refused legs on tracked accounts are applied",
        "        if verdicts.unit_refused(leg.leg.unit) {\n            return;",
        "        if false {\n            return;",
    ),
    mutation(
        Seeds(100),
        SETTLE,
        "refused legs on other accounts are not undone",
        "for leg in &self.applied {",
        "for leg in &self.applied[..0] {",
    ),
    mutation(
        Seeds(100),
        REGISTER,
        "the ids of refused transfers count as created",
        "                ledger.ids.set_status(new.number, Status::Refused);\n                continue;",
        "                continue;",
    ),
    // Outcome
    mutation(
        Seeds(100),
        OUTCOME,
        "the last refusal is the answer, whatever its rank",
        "*place = rank.min(*place);",
        "*place = rank;",
    ),
    mutation(
        Seeds(100),
        OUTCOME,
        "accounts on different ledgers count as on the same",
        "if pair[0] == pair[1] && *rank",
        "if pair[0].0 == pair[1].0 && *rank",
    ),
    mutation(
        Seeds(100),
        OUTCOME,
        "the originals of the epoch before are remembered",
        "        self.exists.clear();\n",
        "",
    ),
    mutation(
        Seeds(100),
        OUTCOME,
        "a duplicate of a refused transfer keeps the answer `exists`",
        "Ballot::OriginalRefused => self.ranks[usize::from(vote.index)] = Rank(vote.rank),",
        "Ballot::OriginalRefused => self.refuse(vote.index, Rank(vote.rank), Detail::NONE),",
    ),
    // Mail and steps
    mutation(
        Seeds(100),
        MAIL,
        "a chunk that was read is not given back",
        "self.outgoing.push(Outgoing { to, message: Message::Return(chunk) });",
        "let _ = (to, chunk);",
    ),
    mutation(
        Seeds(100),
        EPOCH,
        "a shard's own legs are taken before those of the shards in front of it",
        "            self.route_from(ShardId(0));\n",
        "            let mut local = std::mem::take(&mut self.mail.local);\n            \
         local.drain(..).for_each(|chunk| self.take_chunk(self.shard, chunk));\n            \
         self.route_from(ShardId(0));\n",
    ),
    // Serial
    mutation(
        Seeds(100),
        SERIAL,
        "one shard: the ids of refused transfers count as created",
        "    ledger.ids.set_status(number, Status::Refused);\n    Some((Rank::of(code)",
        "    Some((Rank::of(code)",
    ),
    mutation(
        Seeds(100),
        SERIAL,
        "one shard: the credit side's code comes first",
        "refusals.into_iter().flatten().min_by_key(|code| Rank::of(*code))",
        "refusals.into_iter().flatten().max_by_key(|code| Rank::of(*code))",
    ),
    // Log and replay
    mutation(
        Lives(100),
        PACER,
        "lives: an epoch is committed before its cut is durable",
        "        if !all_sealed || !flight.cut_is_durable || flight.durable < flight.blocks {
            return;
        }
        let flight = self.flight.take().expect(\"looked at above\");
        self.committed = flight.epoch;
",
        "        if !all_sealed || flight.durable < flight.blocks {
            return;
        }
        let is_told = self.committed == flight.epoch;
        let flight = Flight { ..*flight };
        if flight.cut_is_durable {
            self.flight = None;
        }
        if is_told {
            return;
        }
        self.committed = flight.epoch;
",
    ),
    mutation(
        Lives(100),
        PACER,
        "lives: an epoch is committed before its blocks are durable",
        "|| flight.durable < flight.blocks {",
        "|| flight.durable + 1 < flight.blocks {",
    ),
    mutation(
        Lives(100),
        PACER,
        "lives: a start takes the number of the one before",
        "incarnation: end.incarnation + 1,",
        "incarnation: end.incarnation.max(1),",
    ),
    mutation(
        Lives(100),
        LEAD,
        "lives: a start takes requests without an opening cut",
        "            if self.opening > 0 {
                pacer.open(clock, &mut self.acts);
",
        "            if self.opening > 0 {
                self.opening = 0;
                self.acts.push_back(Act::TellAll(Pace::Serve { incarnation: pacer.serve() }));
",
    ),
    mutation(
        Lives(300),
        LEAD,
        "lives: what was announced and not committed is kept after a replay",
        "self.acts.push_back(Act::TellAll(Pace::Discard));",
        "",
    ),
    mutation(
        Lives(100),
        COMMIT,
        "lives: a start writes its stream from the beginning",
        "self.end = self.end.max(block.offset + block.size() as u64);",
        "let _ = block;",
    ),
    // Look-ups
    mutation(
        Lives(100),
        SHARD,
        "lives: a look-up is answered one epoch early",
        "            let epoch = self.closed;\n            let (header, body)",
        "            let epoch = self.closed - 1;\n            let (header, body)",
    ),
    mutation(
        Lives(100),
        EPOCH,
        "lives: a look-up is answered before the first leg of its epoch",
        "Phase::Starting => Some(self.plan.number - 1),",
        "Phase::Starting => Some(self.plan.number),",
    ),
    mutation(
        Lives(100),
        ANSWER,
        "lives: a look-up claims the epoch that is executed when it ends",
        "job.seen = if runs { (plan.number, plan.time) } else { desk.newest };",
        "job.seen = if runs { desk.newest } else { (plan.number, plan.time) };",
    ),
    mutation(
        Lives(3_000),
        FETCH,
        "lives: a transfer is read from the log without its check",
        "if check_of(transfer.id, content_hash(&transfer)) != item.check {",
        "if check_of(0, 0) == 1 {",
    ),
    mutation(
        Lives(100),
        SHARD,
        "lives: nobody hears that the stream has room again",
        "                self.commits.prepared(through);
                self.make_room(out);
",
        "                self.commits.prepared(through);
",
    ),
    // Pending transfers, chains, balancing and closing
    mutation(
        Seeds(100),
        VOTE,
        "posts and voids don't hold what would be refused without them",
        "&& !closing && !self.special.claims;",
        "&& !closing;",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a closing transfer does not hold later ones on its account",
        "tracked.closing |= leg.leg.kind.is(LegKind::CLOSING);",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a balancing transfer is judged by what it asks for",
        "let held = worst.is_some() || is_variable || closing;",
        "let held = worst.is_some() || closing;",
    ),
    mutation(
        Seeds(2_000),
        VOTE,
        "legs are not put in order when all accounts get tracked",
        "self.tracked_legs.sort_by_key(|leg| leg.leg.index);",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "the refusal of one of a chain stays between its legs",
        "let told = if leg.kind.is(LegKind::LINKED) {\n        Told::All",
        "let told = if false {\n        Told::All",
    ),
    mutation(
        Seeds(300),
        VOTE,
        "a second creation does not wait for the first's chain",
        "if new.linked == 1 || before.is_some() {",
        "if new.linked == 1 {",
    ),
    mutation(
        Cases,
        VOTE,
        "the debit leg's own shard does not hear of the end of time",
        "ShardId(leg.id_shard), booth.mail.shard()])",
        "ShardId(leg.id_shard), ShardId(leg.peer)])",
    ),
    mutation(
        Seeds(100),
        SETTLE,
        "a void does not open what was closed",
        "if leg.reopens == 1 {\n            self.set_closed",
        "if false {\n            self.set_closed",
    ),
    mutation(
        Seeds(300),
        SETTLE,
        "what expires stays reserved on the credit side",
        "for release in std::mem::take(&mut self.releases) {",
        "for release in std::mem::take(&mut self.releases).into_iter().filter(|r| r.credit == 0) {",
    ),
    mutation(
        Seeds(300),
        SETTLE,
        "posts and voids are settled before the legs that came before them",
        "claims.next_if(|claim| claim.index < leg.leg.index) {\n                self.settle",
        "claims.next_if(|_| true) {\n                self.settle",
    ),
    mutation(
        Seeds(300),
        REGISTER,
        "a second post of the same transfer is not held",
        "claimed.claims > 1 || claimed",
        "claimed.claims > 9 || claimed",
    ),
    mutation(
        Seeds(300),
        REGISTER,
        "posts don't wait for accounts that may be closed",
        "|| closable && !open.claim.is_void();",
        "|| closable && false;",
    ),
    mutation(
        Seeds(100),
        REGISTER,
        "a duplicate in its own chain waits for its outcome",
        "if original.unit != unit {",
        "if true {",
    ),
    mutation(
        Seeds(100),
        REGISTER,
        "a post of the same chain waits for its own chain's outcome",
        "claimed.opened_unit.filter(|unit| *unit != claim.unit);",
        "claimed.opened_unit;",
    ),
    mutation(
        Seeds(300),
        SOLVE,
        "the coordinator keeps the state of what a failed chain posted",
        "                self.ended[pending] = status;\n",
        "",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator keeps what a failed chain moved",
        "                self.states[account] = state;\n",
        "",
    ),
    mutation(
        Seeds(100),
        OUTCOME,
        "the event that failed a chain has no code of its own",
        "                members[failed] = rank;\n",
        "",
    ),
    mutation(
        Seeds(100),
        SERIAL,
        "one shard: a failed chain leaves accounts closed",
        "                    ledger.accounts.hot_mut(slot).flags = flags;\n",
        "                    let _ = flags;\n",
    ),
    mutation(
        Seeds(100),
        SERIAL,
        "one shard: what follows in a failed chain keeps its id",
        "            burn(t, &resolved, Position::new(plan.number, index), ledger);\n",
        "",
    ),
    mutation(
        Cases,
        RULES,
        "a transfer can be posted in the moment that it expires",
        "deadline <= timestamp), C::PendingTransferExpired",
        "deadline < timestamp), C::PendingTransferExpired",
    ),
    mutation(Lives(300), PACER, "nothing ever expires", "if is_any { through }", "if false { through }"),
    // Ids, horizons and limits
    mutation(
        Seeds(100),
        TERMS,
        "forgotten ids are taken for new ones",
        "        id_ms(id) < self.ids_from_ms",
        "        id_ms(id) < self.ids_from_ms && false",
    ),
    mutation(
        Seeds(200),
        TERMS,
        "ids of the horizon's very moment are forgotten",
        "id_ms(id) < self.ids_from_ms",
        "id_ms(id) <= self.ids_from_ms",
    ),
    mutation(
        Seeds(300),
        TERMS,
        "a horizon within a millisecond keeps its ids",
        "horizon.div_ceil(MILLISECOND_NS)",
        "horizon / MILLISECOND_NS",
    ),
    mutation(
        Seeds(300),
        TERMS,
        "ids of the last moment are in the future",
        "id_ms(id) > self.ids_through_ms",
        "id_ms(id) >= self.ids_through_ms",
    ),
    mutation(
        Seeds(200),
        TERMS,
        "the limit on pending transfers is ignored",
        "is_pending && self.limited.is(Limited::PENDINGS)",
        "is_pending && false",
    ),
    mutation(
        Seeds(200),
        RULES,
        "the limit on accounts is ignored",
        "        (terms.limited.is(Limited::ACCOUNTS), C::LimitReached),\n",
        "",
    ),
    mutation(
        Seeds(200),
        REGISTER,
        "ids are forgotten one epoch late",
        "        ledger.ids.forget_before(plan.terms.ids_from_ms);\n",
        "",
    ),
    mutation(
        Seeds(1_000),
        REGISTER,
        "a post of a forgotten transfer that is not pending finds nothing",
        "        if plan.terms.is_forgotten(claim.pending_id) {\n",
        "        if plan.terms.is_forgotten(claim.pending_id) && false {\n",
    ),
    mutation(
        Seeds(5_000),
        SOLVE,
        "the second of two posts of a forgotten transfer is told what the first did",
        "            1 => Rank::of(TransferCode::PendingIdExpired),\n",
        "            1 => Rank::of(status.refuses_claim()),\n",
    ),
    mutation(
        Seeds(300),
        SERIAL,
        "one shard: a failed chain's ids count as created",
        "Undo::Consumed { number } => ledger.ids.fail(number),",
        "Undo::Consumed { .. } => {}",
    ),
    mutation(
        Seeds(300),
        OUTCOME,
        "a refused balancing transfer is told with an amount",
        "self.rank(*index) == Rank::CREATED)",
        "self.rank(*index) != Rank::CREATED)",
    ),
    mutation(
        Lives(300),
        REPLY,
        "the reply doesn't say what a balancing transfer moved",
        "sent.amount != amount {",
        "sent.amount > amount && false {",
    ),
    mutation(
        Lives(1_500),
        PACER,
        "limits don't count what is asked for and not executed",
        "self.running.iter().fold(asked, |sum, running| sum + running.asked)",
        "asked",
    ),
    mutation(Lives(1_500), PACER, "the horizon goes back", "self.horizon.max(by_window)", "by_window"),
];
