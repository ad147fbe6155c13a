//! Accounts: transfer an amount from one to another, read all balances. No balance falls below zero. Where the
//! history does not say what the accounts hold at first, the first read in an order says it.

use viewstorm_history::{Call, Datum, Kind};

use crate::hash::{Table, spread};
use crate::model::{Model, Unreadable};
use crate::partition::{Input, Partition, operation};

/// The model: what was read, and what the accounts hold at first if that is known.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    initial: Option<Vec<i64>>,
    reads: Vec<Vec<i64>>,
    names: Vec<String>,
}

/// What is done to the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BankAction {
    Transfer {
        from: u32,
        to: u32,
        amount: i64,
    },
    /// A read, by its place among the model's.
    Read(u32),
}

/// The balances; as long as the first ones are not known, by how much they have changed.
#[derive(Clone, Debug)]
pub(crate) struct Balances {
    held: Vec<i64>,
    is_known: bool,
    hash: u128,
}

/// The balance of an account that a read does not show.
const MISSING: i64 = i64::MIN;

impl Balances {
    fn new(held: Vec<i64>, is_known: bool) -> Self {
        let marks = (0..)
            .zip(&held)
            .map(|(account, balance)| mark(account, *balance));
        let hash = marks.fold(0, |hash, mark| hash ^ mark);
        Self {
            held,
            is_known,
            hash,
        }
    }

    fn add(&mut self, account: u32, amount: i64) {
        let balance = &mut self.held[account as usize];
        self.hash ^= mark(account, *balance);
        *balance = balance.wrapping_add(amount);
        self.hash ^= mark(account, *balance);
    }
}

fn mark(account: u32, balance: i64) -> u128 {
    spread(balance.cast_unsigned(), u64::from(account) << 8 | 0x62)
}

/// Numbers accounts by their names; `0` and `"0"` are one.
#[derive(Default)]
struct Accounts {
    places: Table<String, u32>,
    names: Vec<String>,
}

impl Accounts {
    fn number(&mut self, name: String) -> u32 {
        let next = self.names.len() as u32;
        let place = *self.places.entry(name.clone()).or_insert(next);
        if place == next {
            self.names.push(name);
        }
        place
    }
}

type Shown = Vec<(u32, i64)>;

fn balances(input: &Input<'_>, accounts: &mut Accounts, datum: Datum) -> Option<Shown> {
    let values = &input.log.values;
    let fields = values.fields(datum)?;
    fields
        .map(|(name, balance)| Some((accounts.number(name.to_owned()), values.as_number(balance)?)))
        .collect()
}

fn transfer(input: &Input<'_>, accounts: &mut Accounts, call: &Call) -> Option<BankAction> {
    let values = &input.log.values;
    let mut account = |name| {
        let datum = values.field(call.argument, name)?;
        let name = values.as_text(datum).map(str::to_owned);
        let name = name.or_else(|| values.as_number(datum).map(|number| number.to_string()))?;
        Some(accounts.number(name))
    };
    let (from, to) = (account("from")?, account("to")?);
    let amount = values.as_number(values.field(call.argument, "amount")?)?;
    (amount >= 0).then_some(BankAction::Transfer { from, to, amount })
}

impl Model for Bank {
    const NAME: &'static str = "bank";
    const IS_KEYED: bool = false;

    type Action = BankAction;
    type State = Balances;
    /// The changes until now, where a read told what they were changes of.
    type Undo = Option<Balances>;

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let mut accounts = Accounts::default();
        let initial = balances(&input, &mut accounts, input.log.initial);
        let mut reads: Vec<Shown> = Vec::new();
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let action = match (input.log.function(call), call.kind) {
                ("read", Kind::Ok) => {
                    let shown = balances(&input, &mut accounts, call.result);
                    let wrong = || input.unreadable(call, "a read of no object of balances");
                    reads.push(shown.ok_or_else(wrong)?);
                    BankAction::Read(reads.len() as u32 - 1)
                }
                ("transfer", kind) => {
                    let wrong = || {
                        input.unreadable(
                            call,
                            "a transfer has a from, a to and an amount of 0 or more",
                        )
                    };
                    let action = transfer(&input, &mut accounts, call).ok_or_else(wrong)?;
                    if kind == Kind::Fail {
                        continue;
                    }
                    action
                }
                ("read", _) => continue,
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            operations.push(operation(place, call, action));
        }
        let whole = |shown: Shown| {
            let mut held = vec![MISSING; accounts.names.len()];
            for (account, balance) in shown {
                held[account as usize] = balance;
            }
            held
        };
        let model = Self {
            initial: initial.map(whole),
            reads: reads.into_iter().map(whole).collect(),
            names: accounts.names,
        };
        let Input { log, key, .. } = input;
        Ok(Partition {
            log,
            model,
            key,
            operations,
            values: Vec::new(),
            values_are_unique: false,
        })
    }

    fn initial(&self) -> Balances {
        match &self.initial {
            Some(held) => Balances::new(held.clone(), true),
            None => Balances::new(vec![0; self.names.len()], false),
        }
    }

    fn apply(&self, balances: &mut Balances, action: &BankAction) -> Option<Option<Balances>> {
        match *action {
            BankAction::Transfer { from, to, amount } => {
                if balances.is_known && balances.held[from as usize] < amount {
                    return None;
                }
                balances.add(from, -amount);
                balances.add(to, amount);
                Some(None)
            }
            BankAction::Read(read) => {
                let shown = &self.reads[read as usize];
                if balances.is_known {
                    return (balances.held == *shown).then_some(None);
                }
                if shown
                    .iter()
                    .any(|balance| *balance < 0 && *balance != MISSING)
                {
                    return None;
                }
                let known = Balances::new(shown.clone(), true);
                Some(Some(std::mem::replace(balances, known)))
            }
        }
    }

    fn undo(&self, balances: &mut Balances, action: &BankAction, before: Option<Balances>) {
        match (*action, before) {
            (_, Some(before)) => *balances = before,
            (BankAction::Transfer { from, to, amount }, None) => {
                balances.add(from, amount);
                balances.add(to, -amount);
            }
            (BankAction::Read(_), None) => {}
        }
    }

    fn fingerprint(&self, balances: &Balances) -> u128 {
        balances.hash ^ spread(u64::from(balances.is_known), 0x6b6e_6f77)
    }

    fn words(&self, balances: &Balances, _: &Partition<'_, Self>) -> String {
        let all = self.names.iter().zip(&balances.held);
        let all: Vec<String> = all
            .map(|(name, balance)| format!("{name}: {balance}"))
            .collect();
        let what = if balances.is_known {
            "the accounts with"
        } else {
            "the accounts changed by"
        };
        format!("{what} {}", super::few(&all))
    }

    /// The first read tells what the accounts hold, but no order depends on when it tells it.
    fn changes_nothing(&self, action: &BankAction) -> bool {
        self.initial.is_some() && matches!(action, BankAction::Read(_))
    }

    fn shows(&self, action: &BankAction) -> bool {
        matches!(action, BankAction::Read(_))
    }
}
