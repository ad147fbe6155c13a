//! Random schedules: anything is delivered at any time, lost, repeated; replicas crash and forget what was not
//! synced; then everything heals and must complete.

use std::time::Duration;

use bytes::Bytes;

use crate::cluster::{Cluster, Verdict};

/// A number from the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may be told its seeds; the core may not"
)]
fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The schedule's choices.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }
}

/// How rough a schedule is, in chances per mille.
struct Climate {
    drop: usize,
    duplicate: usize,
    reorder: usize,
    crash: usize,
    restart: usize,
    timeout: usize,
    sync: usize,
    partition: usize,
    steps: usize,
}

impl Climate {
    fn draw(random: &mut Random) -> Self {
        let mut pick = |choices: &[usize]| choices[random.below(choices.len())];
        Self {
            drop: pick(&[0, 10, 50, 200]),
            duplicate: pick(&[0, 10, 100]),
            reorder: pick(&[0, 100, 1000]),
            crash: pick(&[0, 2, 5, 20]),
            restart: pick(&[10, 50, 200]),
            timeout: pick(&[20, 60, 200]),
            sync: pick(&[100, 300, 600]),
            partition: pick(&[0, 0, 5, 20]),
            steps: pick(&[100, 300, 600]),
        }
    }
}

/// Names the seed if the test dies.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {0}: VR_SEED={0} VR_SEEDS=1 cargo test -p viewstorm-protocol --test vr random",
                self.0
            );
        }
    }
}

struct Schedule {
    random: Random,
    climate: Climate,
    cluster: Cluster,
    written: u64,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let members = [1, 2, 3, 3, 3, 3, 4, 5, 5][random.below(9)];
        let clients = 1 + random.below(3);
        let mut cluster = Cluster::unstarted(members, clients, seed);
        // So few ops to a checkpoint that whoever was away finds its place in no log.
        cluster.checkpoints.interval = [1, 2, 3, 5, 16, 1024][seed as usize % 6];
        for index in 0..members {
            cluster.restart(index);
            cluster.nodes[index].syncs = false;
        }
        Self {
            climate: Climate::draw(&mut random),
            random,
            cluster,
            written: 0,
        }
    }

    fn step(&mut self) {
        self.invoke_if_idle();
        if self.random.chance(self.climate.crash) {
            self.crash();
        }
        if self.random.chance(self.climate.restart) {
            self.restart();
        }
        if self.random.chance(self.climate.partition) {
            self.partition();
        }
        if self.random.chance(self.climate.timeout) || self.cluster.network.is_empty() {
            self.timeout();
        }
        if self.random.chance(self.climate.sync) {
            let index = self.random.below(self.cluster.nodes.len());
            for _ in 0..=self.random.below(3) {
                self.cluster.sync_one(index);
            }
        }
        self.deliver();
    }

    fn invoke_if_idle(&mut self) {
        let client = self.random.below(self.cluster.sessions.len());
        if self.cluster.sessions[client].is_idle() && self.random.chance(300) {
            self.written += 1;
            let value = Bytes::from(self.written.to_string());
            self.cluster.invoke(client, value);
        }
    }

    fn crash(&mut self) {
        let index = self.random.below(self.cluster.nodes.len());
        if self.cluster.is_up(index) {
            // Some of what was not reported durable may be so all the same.
            let lucky = self.random.below(4);
            self.cluster.crash_after(index, lucky);
        }
    }

    fn restart(&mut self) {
        let index = self.random.below(self.cluster.nodes.len());
        if !self.cluster.is_up(index) {
            self.cluster.restart(index);
        }
    }

    /// Cuts some directed links, or none; what is sent on them is lost or late.
    fn partition(&mut self) {
        let members = self.cluster.nodes.len();
        let (cut, hold) = (self.random.next(), self.random.chance(500));
        let healthy = self.random.chance(300);
        self.cluster.heal();
        self.cluster.filter = Box::new(move |flight| {
            let index = |address| (0..members).position(|i| crate::cluster::replica(i) == address);
            let (Some(from), Some(to)) = (index(flight.from), index(flight.to)) else {
                return Verdict::Pass;
            };
            match (cut >> (from * members + to)) & 1 == 1 && !healthy {
                true if hold => Verdict::Hold,
                true => Verdict::Drop,
                false => Verdict::Pass,
            }
        });
    }

    fn timeout(&mut self) {
        let timeouts: Vec<_> = self.cluster.timeouts().collect();
        if timeouts.is_empty() {
            return;
        }
        // Mostly the earliest; sometimes clocks leap.
        let chosen = match self.random.chance(850) {
            true => *timeouts.iter().min().expect("not empty"),
            false => timeouts[self.random.below(timeouts.len())],
        };
        self.cluster.now = self.cluster.now.max(chosen.0);
        self.cluster.timeout(chosen.1);
    }

    fn deliver(&mut self) {
        for _ in 0..=self.random.below(3) {
            if self.cluster.network.is_empty() {
                return;
            }
            let index = match self.random.chance(self.climate.reorder) {
                true => self.random.below(self.cluster.network.len()),
                false => 0,
            };
            let flight = self.cluster.network.remove(index);
            if self.random.chance(self.climate.duplicate) {
                self.cluster.network.push(flight.clone());
            }
            if !self.random.chance(self.climate.drop) {
                self.cluster.now = self.cluster.now + Duration::from_micros(200);
                self.cluster.deliver(flight);
            }
        }
    }
}

fn run(seed: u64) -> usize {
    let _replay = Replay(seed);
    let mut schedule = Schedule::new(seed);
    for _ in 0..schedule.climate.steps {
        schedule.step();
    }
    schedule.cluster.everything_completes();
    schedule.cluster.notes.len()
}

#[test]
fn random_schedules_are_safe_and_end_well() {
    let first = variable("VR_SEED", 0);
    for seed in first..first + variable("VR_SEEDS", 3000) {
        run(seed);
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
