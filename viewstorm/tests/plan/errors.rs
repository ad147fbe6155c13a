//! Malformed plans, and what their author gets to read.

use viewstorm::plan::Plan;

/// A plan of 10 s with three replicas and three client endpoints, then this.
macro_rules! with_faults {
    ($text:literal) => {
        concat!("name = \"x\"\n[run]\nduration = \"10s\"\n", $text)
    };
}

/// The same, then one fault whose kind and time are right.
macro_rules! with_fault {
    ($kind:literal, $text:literal) => {
        concat!(
            "name = \"x\"\n[run]\nduration = \"10s\"\n[[nemesis]]\nfault = \"",
            $kind,
            "\"\nat = \"1s\"\n",
            $text
        )
    };
}

/// The same in the simulated world.
macro_rules! with_machine_fault {
    ($kind:literal, $text:literal) => {
        concat!(
            "name = \"x\"\nworld.kind = \"simulated\"\n[[nemesis]]\nfault = \"",
            $kind,
            "\"\nat = \"1s\"\n",
            $text
        )
    };
}

/// A plan with everything right but what follows.
fn refuse(text: &str) -> String {
    match Plan::parse("plan.toml", text, &[]) {
        Ok(plan) => panic!("this is accepted:\n{text}\n{plan:?}"),
        Err(errors) => errors.render(false),
    }
}

/// One snapshot per malformed plan, named by what is wrong with it.
macro_rules! refused {
    ($($name:ident: $text:expr,)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(refuse($text));
        })*
    };
}

refused! {
    a_name_is_missing: "[world]\nkind = \"processes\"\n",
    a_name_is_no_folder: "name = \"VR / partitions\"\n",
    a_name_is_no_string: "name = 7\n",
    an_unknown_key_at_the_top: "name = \"x\"\ndescripton = \"a slip\"\n",
    an_unknown_table: "name = \"x\"\n[clutser]\nreplicas = 3\n",
    an_unknown_key_in_a_table: "name = \"x\"\n[cluster]\nreplica = 3\n",
    a_key_with_underscores: "name = \"x\"\n[cluster]\nfence_incarnations = true\n",
    a_key_of_another_table: "name = \"x\"\n[cluster]\nrate = 1500\n",
    an_unknown_key_in_an_inner_table: "name = \"x\"\n[workload]\nmix = { reads = 1, write = 1 }\n",
    nonsense: "name = \"x\"\nxyzzy = 1\n",
    a_table_is_a_value: "name = \"x\"\nworld = \"simulated\"\n",
    a_value_is_a_table: "name = \"x\"\n[cluster.replicas]\nn = 3\n",
    a_string_for_a_number: "name = \"x\"\n[cluster]\nreplicas = \"three\"\n",
    a_decimal_for_a_whole_number: "name = \"x\"\n[cluster]\nreplicas = 3.5\n",
    no_replicas: "name = \"x\"\n[cluster]\nreplicas = 0\n",
    minus_one_replica: "name = \"x\"\n[cluster]\nreplicas = -1\n",
    a_million_replicas: "name = \"x\"\n[cluster]\nreplicas = 1_000_000\n",
    ports_end: "name = \"x\"\n[cluster]\nreplicas = 5\nbase-port = 65532\n",
    an_unknown_name: "name = \"x\"\n[world]\nkind = \"simulate\"\n[model]\nnetwork = \"fairloss\"\n[cluster]\nprotocol = \"paxos\"\n",
    a_duration_without_a_unit: "name = \"x\"\n[run]\nduration = 30\nquiesce = \"5\"\n",
    a_duration_of_nonsense: "name = \"x\"\n[run]\nduration = \"half an hour\"\nquiesce = \"-1s\"\nwarmup = \"3 sec\"\n",
    a_run_of_no_time: "name = \"x\"\n[run]\nduration = \"0s\"\n",
    a_warmup_that_never_ends: "name = \"x\"\n[run]\nwarmup = \"10s\"\nduration = \"8s\"\n",
    a_negative_seed: "name = \"x\"\n[run]\nseed = -4\n",
    no_rate: "name = \"x\"\n[workload]\nrate = 0\n",
    an_infinite_rate: "name = \"x\"\n[workload]\nrate = inf\n",
    an_open_and_a_closed_loop: "name = \"x\"\n[workload]\nrate = 100\nclosed-loop = true\n",
    an_open_loop_without_a_rate: "name = \"x\"\n[workload]\nclosed-loop = false\n",
    a_mix_of_nothing: "name = \"x\"\n[workload]\nmix = { read = 0, write = 0 }\n",
    more_endpoints_than_clients: "name = \"x\"\n[workload]\nclients = 2\nendpoints = 4\n",
    a_suspicion_before_the_heartbeat: "name = \"x\"\n[cluster]\ntimeouts = { heartbeat = \"100ms\", suspicion = \"50ms\" }\n",
    an_unknown_check: "name = \"x\"\n[check]\nchecks = [\"linearisability\", \"durability\", \"durability\"]\n",
    no_checks: "name = \"x\"\n[check]\nchecks = []\n",
    a_share_above_one: "name = \"x\"\n[check.bounds]\navailability = 99.9\n",
    a_property_that_is_not_checked: "name = \"x\"\n[check]\nchecks = [\"durability\"]\n[expect]\nverdict = \"invalid\"\nproperty = \"linearizability\"\n",
    a_property_of_a_valid_run: "name = \"x\"\n[expect]\nverdict = \"valid\"\nproperty = \"linearizability\"\n",
    a_key_twice: "name = \"x\"\n[cluster]\nreplicas = 3\nreplicas = 5\n",
    a_table_twice: "name = \"x\"\n[run]\nseed = 1\n[cluster]\n[run]\nduration = \"3s\"\n",
    a_string_that_does_not_end: "name = \"x\n[cluster]\nreplicas = 3\n",
    no_toml_and_a_mistake_besides: "name = \"x\"\n[cluster\nreplicas = = 3\n[run]\nduration = 30\n",
    empty: "",
    blank: "\n  \n",
    a_fault_without_a_kind: with_faults!("[[nemesis]]\nat = \"1s\"\n"),
    a_fault_of_no_kind: with_faults!("[[nemesis]]\nfault = \"partitoin\"\nat = \"1s\"\n"),
    a_fault_without_a_time: with_faults!("[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\n"),
    one_table_of_faults: with_faults!("[nemesis]\nfault = \"kill\"\n"),
    a_list_of_no_faults: "name = \"x\"\nnemesis = [1]\n",
    a_fault_after_the_end: with_faults!("[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\nat = \"10s\"\n"),
    a_fault_after_the_default_end: "name = \"x\"\n[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\nat = \"31s\"\n",
    a_fault_longer_than_the_run: with_fault!("kill", "target = \"one\"\nfor = \"11s\"\n"),
    a_fault_of_no_length: with_fault!("kill", "target = \"one\"\nfor = \"0s\"\n"),
    a_restart_that_lasts: with_fault!("restart", "target = \"one\"\nfor = \"1s\"\n"),
    a_single_fault_that_recurs: with_fault!("kill", "target = \"one\"\njitter = \"1s\"\ncount = 3\n"),
    a_fault_that_never_comes: with_faults!("[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\nevery = \"4s\"\nuntil = \"4s\"\n"),
    a_jitter_beyond_the_period: with_faults!("[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\nevery = \"2s\"\njitter = \"3s\"\n"),
    too_many_faults: with_faults!("[[nemesis]]\nfault = \"kill\"\ntarget = \"one\"\nat = \"0s\"\nevery = \"1ms\"\n[[nemesis]]\nfault = \"pause\"\ntarget = \"one\"\nevery = \"4s\"\n"),
    a_fault_without_a_target: with_fault!("pause", ""),
    a_target_of_no_kind: with_fault!("kill", "target = \"primry\"\n"),
    a_target_that_is_not_there: with_fault!("kill", "target = \"r3\"\n"),
    a_client_that_is_not_there: with_fault!("loss", "share = 0.1\ntarget = [\"r0\", \"c3\"]\n"),
    a_client_that_is_killed: with_fault!("kill", "target = \"c0\"\n"),
    more_replicas_than_there_are: with_fault!("pause", "target = \"random(4)\"\n"),
    a_minority_of_two: "name = \"x\"\n[cluster]\nreplicas = 2\n[[nemesis]]\nfault = \"kill\"\ntarget = \"minority\"\nat = \"1s\"\n",
    a_target_that_is_a_number: with_fault!("kill", "target = 1\n"),
    a_key_of_another_fault: with_fault!("kill", "target = \"one\"\nshape = \"halves\"\n"),
    a_key_of_a_fault_elsewhere: "name = \"x\"\n[cluster]\nflapping = \"1s\"\n",
    a_key_of_no_fault: with_fault!("kill", "tarrget = \"one\"\n"),
    a_partition_without_a_shape: with_fault!("partition", "target = \"r9\"\n"),
    a_shape_of_no_kind: with_fault!("partition", "shape = \"majority-ring\"\n"),
    a_shape_without_its_parameters: with_fault!("partition", "shape = \"groups\"\n"),
    a_parameter_of_another_shape: with_fault!("partition", "shape = \"halves\"\ntarget = \"primary\"\n"),
    a_ring_of_two: "name = \"x\"\n[cluster]\nreplicas = 2\n[[nemesis]]\nfault = \"partition\"\nshape = \"majorities-ring\"\nat = \"1s\"\n",
    one_direction_of_a_ring: with_fault!("partition", "shape = \"majorities-ring\"\ndirection = \"in\"\n"),
    all_replicas_isolated: with_fault!("partition", "shape = \"isolate\"\ntarget = \"all\"\n"),
    a_node_in_two_groups: with_fault!("partition", "shape = \"groups\"\ngroups = [[\"r0\"], [\"r1\", \"r0\"]]\n"),
    one_group: with_fault!("partition", "shape = \"groups\"\ngroups = [[\"r0\", \"r1\"]]\n"),
    a_link_between_clients: with_fault!("partition", "shape = \"links\"\nlinks = [[\"c0\", \"c1\"]]\n"),
    a_link_with_one_end: with_fault!("delay", "delay = \"5ms\"\nlinks = [[\"r0\"]]\n"),
    links_and_a_target: with_fault!("loss", "share = 0.1\ntarget = \"one\"\nlinks = [[\"r0\", \"r1\"]]\n"),
    a_flap_that_does_not_fit: with_fault!("partition", "shape = \"halves\"\nfor = \"1s\"\nflapping = \"600ms\"\n"),
    a_loss_of_nothing: with_fault!("loss", "share = 0\n"),
    a_loss_without_a_share: with_fault!("loss", ""),
    a_delay_without_a_length: with_fault!("delay", ""),
    messages_without_an_act: with_fault!("messages", "target = \"primary\"\n"),
    messages_of_no_kind: with_fault!("messages", "act = \"drop\"\ntarget = \"primary\"\nkinds = [\"Prepare\", \"StartViewChang\"]\n"),
    a_range_backwards: with_fault!("messages", "act = \"hold\"\ntarget = \"primary\"\nviews = [3, 1]\n"),
    loss_on_reliable_links: with_fault!("partition", "shape = \"halves\"\n[model]\nnetwork = \"reliable\"\n"),
    corruption_is_a_loss: with_fault!("corrupt", "share = 0.1\n[model]\nnetwork = \"reliable\"\n"),
    a_restart_where_nobody_comes_back: with_fault!("kill", "target = \"one\"\nfor = \"1s\"\n[model]\nnodes = \"crash-stop\"\n"),
    a_delay_where_delays_are_bounded: with_fault!("pause", "target = \"one\"\n[model]\ntiming = \"synchronous\"\n"),
    a_bit_flip_of_processes: with_fault!("bit-flip", "target = \"one\"\nplace = \"tail\"\n"),
    a_bit_flip_of_named_processes: "name = \"x\"\n[world]\nkind = \"processes\"\n[[nemesis]]\nfault = \"bit-flip\"\ntarget = \"one\"\nplace = \"tail\"\nat = \"1s\"\n",
    a_lie_outside_the_model: with_fault!("lying-sync", "target = \"one\"\n"),
    bursts_that_take_nothing: with_fault!("burst-loss", "p = 0.0001\nr = 1\n"),
    a_trace_with_a_delay: with_fault!("delay", "distribution = \"trace\"\ntrace = [\"5ms\"]\ndelay = \"5ms\"\n"),
    a_region_of_no_map: with_fault!("wan", "regions = [\"london\", \"tokio\"]\n"),
    a_follower_of_nobody: with_fault!("kill", "target = \"one\"\nfollows = \"cut\"\n"),
    a_storm_of_no_profile: "name = \"x\"\n[[nemesis]]\nfault = \"any\"\nprofile = \"crash\"\n",
    a_fault_of_a_world_of_no_kind: "name = \"x\"\n[world]\nkind = \"procesess\"\n[[nemesis]]\nfault = \"clock\"\ntarget = \"all\"\nfreeze = true\nat = \"1s\"\n",
    a_power_loss_where_nobody_comes_back: with_machine_fault!("power-loss", "target = \"one\"\nfor = \"1s\"\n[model]\nnodes = \"crash-stop\"\n"),
    a_crash_without_its_effect: with_machine_fault!("crash", "target = \"one\"\n"),
    a_crash_before_no_effect: with_machine_fault!("crash", "target = \"one\"\neffect = 0\npower = \"yes\"\n"),
    a_wipe_outside_the_model: with_machine_fault!("wipe", "target = \"one\"\nfor = \"1s\"\n"),
    a_slow_sync_without_a_length: with_machine_fault!("slow-sync", "target = \"one\"\n"),
    a_failing_sync_of_a_client: with_machine_fault!("failing-sync", "target = \"c0\"\n"),
    a_flip_of_no_record: with_machine_fault!("bit-flip", "target = \"one\"\n"),
    a_flip_that_lasts: with_machine_fault!("bit-flip", "target = \"one\"\nplace = \"midle\"\nfor = \"1s\"\n"),
    flips_beyond_the_budget: with_machine_fault!("bit-flip", "target = [\"r0\", \"r2\"]\nplace = \"tail\"\n"),
    a_clock_that_is_right: with_machine_fault!("clock", "target = \"one\"\n"),
    a_clock_with_two_faults: with_machine_fault!("clock", "target = \"one\"\njump = \"2s\"\nfreeze = true\n"),
    a_clock_that_hardly_leaps: with_machine_fault!("clock", "target = \"one\"\njump = \"-2ms\"\n"),
    a_clock_that_runs_backwards: with_machine_fault!("clock", "target = \"one\"\ndrift = -1_000_000\n"),
    a_clock_that_is_not_frozen: with_machine_fault!("clock", "target = \"one\"\nfreeze = false\n"),
    many_at_once: "nam = \"x\"\n[wrld]\n[cluster]\nreplicas = 0\nprotocol = \"vrr\"\n[workload]\nrate = -1\n[run]\nduration = \"soon\"\n",
    a_chance_of_nothing: with_fault!("kill", "target = \"one\"\nchance = 0\n"),
    a_draw_from_three_times: with_fault!("kill", "target = \"one\"\nfor = [\"1s\", \"2s\", \"3s\"]\n"),
    a_draw_from_backwards: with_fault!("kill", "target = \"one\"\nfor = [\"2s\", \"1s\"]\n"),
    a_draw_with_one_end_too_far: with_fault!("loss", "share = [0.5, 1.5]\n"),
    a_draw_of_unlike_things: with_fault!("kill", "target = \"one\"\nfor = [\"1s\", 2]\n"),
    a_draw_of_an_unknown_name: with_fault!("partition", "shape = [\"halves\", \"havles\", \"ring\"]\n"),
    a_draw_of_what_does_not_go_together: with_fault!(
        "partition",
        "shape = [\"halves\", \"bridge\"]\ndirection = [\"both\", \"in\"]\n"
    ),
    any_of_what_has_no_names: with_fault!("kill", "target = \"one\"\nfor = \"any\"\n"),
    a_flap_that_may_not_fit: with_fault!(
        "partition",
        "shape = \"halves\"\nflapping = [\"100ms\", \"1s\"]\nfor = [\"1s\", \"5s\"]\n"
    ),
    an_event_of_no_kind: with_fault!("kill", "target = \"one\"\non = \"election\"\n"),
    an_event_that_recurs_by_the_clock: with_fault!(
        "kill",
        "target = \"one\"\non = \"primary\"\nevery = \"2s\"\n"
    ),
    a_sender_of_no_message: with_fault!("kill", "target = \"one\"\non = \"primary\"\nfrom = \"r1\"\n"),
    a_delay_after_nothing: with_fault!("kill", "target = \"one\"\nafter = \"5ms\"\n"),
    a_crash_at_no_step: with_fault!("crash", "target = \"one\"\neffect = 2\nstep = \"Perpare\"\n"),
    a_message_without_a_kind: with_machine_fault!("kill", "target = \"one\"\non = \"message\"\n"),
    a_message_of_no_kind: with_machine_fault!(
        "kill",
        "target = \"one\"\non = \"message\"\nkind = \"Perpare\"\n"
    ),
    a_storm_of_no_strength: "name = \"x\"\n[[nemesis]]\nfault = \"any\"\nintensity = 0\n",
    a_storm_with_a_target: "name = \"x\"\n[[nemesis]]\nfault = \"any\"\ntarget = \"one\"\n",
    a_storm_where_nothing_may_happen: "name = \"x\"\nmodel = { network = \"reliable\", nodes = \"crash-stop\", timing = \"synchronous\" }\n[[nemesis]]\nfault = \"any\"\n",
    a_state_transfer_to_a_client: with_fault!(
        "kill",
        "target = \"one\"\non = \"state-transfer\"\nreplica = \"c0\"\n"
    ),
}

#[test]
fn not_utf8() {
    let errors = Plan::parse_bytes("plan.toml", b"name = \"x\"\n# caf\xe9\n").unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_missing_file_is_named() {
    let errors = Plan::load("experiments/no-such.toml").unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_directory_is_no_plan() {
    let directory = tempfile::tempdir().unwrap();
    let errors = Plan::load(directory.path()).unwrap_err().to_string();
    assert!(
        errors.contains(&directory.path().display().to_string()),
        "{errors}"
    );
    assert!(errors.contains("is a directory"), "{errors}");
}

#[test]
fn a_crash_without_a_return_stays_in_crash_stop() {
    let text = with_fault!(
        "kill",
        "target = \"one\"\n[model]\nnodes = \"crash-stop\"\n"
    );
    assert!(Plan::parse("plan.toml", text, &[]).is_ok());
}

#[test]
fn any_number_of_disks_may_be_damaged_where_the_plan_says_so() {
    let text = with_machine_fault!(
        "bit-flip",
        "target = \"all\"\nplace = \"tail\"\nbudget = \"unrestricted\"\n"
    );
    assert!(Plan::parse("plan.toml", text, &[]).is_ok());
}

#[test]
fn a_majority_may_be_killed_at_a_time() {
    let text = with_fault!("kill", "target = \"majority\"\nfor = \"1s\"\n");
    assert!(Plan::parse("plan.toml", text, &[]).is_ok());
}

#[test]
fn colour_is_for_terminals() {
    let errors = Plan::parse("plan.toml", "nam = 1", &[]).unwrap_err();
    assert!(!errors.render(false).contains('\u{1b}'));
    assert!(errors.render(true).contains('\u{1b}'));
}
