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
const SOLVE: &str = "execute/solve.rs";
const OUTCOME: &str = "execute/outcome.rs";
const SERIAL: &str = "execute/serial.rs";
const PACER: &str = "pacer.rs";
const LEAD: &str = "lead.rs";
const COMMIT: &str = "commit.rs";
const REPLAY: &str = "replay.rs";
const SHARD: &str = "shard.rs";
const ANSWER: &str = "answer.rs";
const FETCH: &str = "fetch.rs";
const IDS: &str = "ledger/ids.rs";

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
        "probe: u8::from(fault.is_some()),\n            pad: 0,",
        "probe: 0,\n            pad: 0,",
    ),
    // Vote: legs
    mutation(
        Seeds(100),
        VOTE,
        "an account is there before its creation",
        "|| is_before(*slot, leg.index, booth)",
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
        VOTE,
        "hold is not sent to the other leg",
        "if leg.peer != booth.mail.shard().0 {",
        "if false {",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "hold is ignored by the leg's own shard",
        "            self.note_vote(&vote);",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "an overflow forgets the legs that were applied",
        "self.take_tracked(leg.slot, leg.amount, leg.leg, booth);",
        "let _ = leg;",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "an overflow is judged with what is applied and may be refused",
        "            self.track_everything(booth);",
        "            return self.refuse_leg(id, TransferCode::OverflowsDebitsPosted, Detail::NONE, booth);",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a leg's refusal does not reach the id",
        "ShardId(leg.peer), ShardId(leg.id_shard)];",
        "ShardId(leg.peer), ShardId(leg.peer)];",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a leg's refusal does not reach the other leg",
        "let to = [booth.epoch.arrival(leg.index), ShardId(leg.peer), ShardId(leg.id_shard)];",
        "let to = [booth.epoch.arrival(leg.index), ShardId(leg.id_shard), ShardId(leg.id_shard)];",
    ),
    // Vote: ids
    mutation(Seeds(100), VOTE, "a probe consumes an id", "None if note.probe == 0 => {", "None => {"),
    mutation(
        Seeds(100),
        VOTE,
        "a duplicate's legs are not refused",
        "            0 => [arrival, ShardId(note.debit_shard), ShardId(note.credit_shard)],",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "a duplicate of the same epoch is not held",
        "original.index()));\n            self.held += 1;",
        "original.index()));",
    ),
    // Gather
    mutation(
        Seeds(100),
        VOTE,
        "the code of a transfer that is refused already is not evaluated",
        "if refused && !leg.held {",
        "if refused {",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "decided legs are not added to what is known",
        "account.known.apply(leg.leg.side, leg.amount);",
        "",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "only an account's last leg says whether any is held",
        "tracked.any_held |= held;",
        "tracked.any_held = held;",
    ),
    // Solve
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator forgets what it accepted",
        "Balance { debits: leg.debits + added.debits, credits: leg.credits + added.credits }",
        "Balance { debits: leg.debits, credits: leg.credits + added.credits }",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator applies what was refused before",
        "if !refused_before {\n                    for",
        "if true {\n                    for",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator's refusal does not reach the other leg and the id",
        "let concerned = [shard, ShardId(first.peer), ShardId(first.id_shard)];",
        "let concerned = [shard; 3];",
    ),
    mutation(
        Seeds(100),
        SOLVE,
        "the coordinator takes the last code in the order of precedence",
        "self.refuse(*shard, leg)).min();",
        "self.refuse(*shard, leg)).max();",
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
        "|| self.refused[usize::from(note.original)] {",
        "{",
    ),
    // Settle
    mutation(
        Seeds(100),
        VOTE,
        "refused legs on tracked accounts are applied",
        "if self.states[usize::from(leg.leg.index)] & REFUSED == 0 {",
        "if true {",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "refused legs on other accounts are not undone",
        "for leg in &self.applied {",
        "for leg in &self.applied[..0] {",
    ),
    mutation(
        Seeds(100),
        VOTE,
        "the ids of refused transfers count as created",
        "ledger.ids.refuse(*number);",
        "let _ = number;",
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
        "    ledger.ids.refuse(number);",
        "    let _ = number;",
    ),
    mutation(
        Seeds(100),
        SERIAL,
        "one shard: the credit side's code comes first",
        "[by_debit, by_credit].into_iter().flatten().min_by_key(|code| Rank::of(*code))",
        "by_credit.or(by_debit)",
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
        "                    pacer.open(clock, &mut self.acts);
",
        "                    self.opening = 0;
                    self.acts.push_back(Act::TellAll(Pace::Serve { incarnation: pacer.incarnation() }));
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
    mutation(
        Lives(3_000),
        REPLAY,
        "lives: a replay reads ahead without a bound",
        ".is_some_and(|(cut, ..)| cut.epoch <= slowest + REPLAY_AHEAD)",
        ".is_some_and(|(cut, ..)| cut.epoch + slowest > 0)",
    ),
    // Look-ups
    mutation(
        Lives(100),
        SHARD,
        "lives: a look-up is answered one epoch early",
        "            let epoch = self.closed;
",
        "            let epoch = self.closed - 1;
",
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
        Lives(1_000),
        IDS,
        "lives: the check of a transfer leaves out its id",
        "    let id = id as u64 ^ (id >> 64) as u64;
",
        "    let id = (id as u64) & 0;
",
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
];
