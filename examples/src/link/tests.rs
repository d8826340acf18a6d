//! Statistics, order and repeatability of links, and what scenario files are refused for.

use proptest::prelude::*;

use super::*;

/// Sends `count` packets of 100 bytes, one each millisecond, and gives each arrival as (number, delay).
fn delays(config: &LinkConfig, seed: u64, count: u32) -> Vec<(u32, Span)> {
    let mut link = Link::new(config.clone(), seed);
    let mut arrived = Vec::new();
    let mut sent = 0;
    while sent < count || link.poll_timeout().is_some() {
        let next = Span::from_millis(i64::from(sent));
        let arrives = link.poll_timeout();
        if sent < count && arrives.is_none_or(|arrives| next < arrives) {
            link.handle_packet(next, 100, sent);
            sent += 1;
        } else if let Some(at) = arrives {
            while let Some(number) = link.poll_packet(at) {
                arrived.push((number, at - Span::from_millis(i64::from(number))));
            }
        }
    }
    arrived
}

fn mean_ms(delays: &[(u32, Span)]) -> f64 {
    let sum: f64 = delays.iter().map(|(_, delay)| delay.as_secs_f64()).sum();
    sum * 1e3 / f64::from(u32::try_from(delays.len()).unwrap())
}

fn free(jitter: Jitter) -> LinkConfig {
    LinkConfig { delay: Span::from_millis(20), jitter, keeps_order: false, ..LinkConfig::default() }
}

#[test]
fn exponential_jitter_has_its_mean_and_is_never_below_the_delay() {
    let config = free(Jitter::Exponential(Exponential { mean: Span::from_millis(2) }));
    let delays = delays(&config, 1, 20_000);
    assert!((mean_ms(&delays) - 22.0).abs() < 0.1, "{}", mean_ms(&delays));
    assert!(delays.iter().all(|(_, delay)| *delay >= Span::from_millis(20)));
    let late = delays.iter().filter(|(_, delay)| *delay > Span::from_millis(26)).count();
    assert!((900..1_100).contains(&late), "e^-3 of 20,000 is 996, not {late}");
}

#[test]
fn normal_jitter_has_its_mean_and_deviation_and_no_packet_arrives_before_it_was_sent() {
    let config = free(Jitter::Normal(Normal { sd: Span::from_millis(5) }));
    let few = delays(&config, 2, 20_000);
    assert!((mean_ms(&few) - 20.0).abs() < 0.15, "{}", mean_ms(&few));
    let square: f64 = few.iter().map(|(_, delay)| (delay.as_secs_f64() * 1e3 - 20.0).powi(2)).sum();
    assert!((square / 20_000.0 - 25.0).abs() < 1.0, "{square}");
    let wild = free(Jitter::Normal(Normal { sd: Span::from_millis(500) }));
    assert!(delays(&wild, 3, 2_000).iter().all(|(_, delay)| *delay >= Span::ZERO));
}

#[test]
fn spikes_loss_and_duplicates_come_as_often_as_they_should() {
    let spikes = Spikes { share: 0.03, least: Span::from_millis(5), most: Span::from_millis(30) };
    let config = LinkConfig {
        spikes: Some(spikes),
        duplicates: 0.1,
        loss: Loss::Random(RandomLoss { share: 0.02 }),
        ..free(Jitter::None)
    };
    let all = delays(&config, 4, 20_000);
    let spiked = all.iter().filter(|(_, delay)| *delay >= Span::from_millis(25)).count();
    assert!((spiked * 1_000 / all.len()).abs_diff(30) <= 3, "{spiked} of {}", all.len());
    assert!(all.iter().all(|(_, delay)| *delay <= Span::from_millis(50)));
    assert!(all.len().abs_diff(21_560) < 200, "98 % of 110 % of 20,000 is 21,560, not {}", all.len());
}

#[test]
fn bursts_lose_in_runs() {
    let bursts = Bursts { begin: 0.01, end: 0.2, share: 1.0 };
    let config = LinkConfig { loss: Loss::Bursts(bursts), ..LinkConfig::default() };
    let arrived = delays(&config, 5, 50_000);
    let lost = 50_000 - arrived.len();
    assert!(
        (lost * 1_000 / 50_000).abs_diff(48) <= 8,
        "begin/(begin + end) is 48 in 1,000, not {lost} of 50,000"
    );
    let runs = arrived.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
    assert!((lost * 10 / runs).abs_diff(50) <= 8, "{lost} lost in {runs} runs of five");
}

#[test]
fn an_outage_loses_all_and_a_route_change_counts_from_its_instant() {
    let outage = Outage { from: Span::from_secs(1), lasts: Span::from_secs(2) };
    let route = RouteChange { at: Span::from_secs(5), delay: Span::from_millis(70) };
    let config = LinkConfig { outages: vec![outage], routes: vec![route], ..free(Jitter::None) };
    let arrived = delays(&config, 6, 8_000);
    assert_eq!(arrived.len(), 6_000);
    assert!(arrived.iter().all(|(number, _)| !(1_000..3_000).contains(number)));
    for (number, delay) in arrived {
        let expected = if number < 5_000 { 20 } else { 70 };
        assert_eq!(delay, Span::from_millis(expected), "packet {number}");
    }
}

#[test]
fn a_loaded_bottleneck_delays_by_its_queue_and_drops_what_does_not_fit() {
    let Scenario { path, .. } = Scenario::built_in("bufferbloat").unwrap();
    let arrived = delays(&path.a_to_b, 7, 60_000);
    let calm = arrived.iter().filter(|(number, _)| *number < 20_000).map(|(_, delay)| *delay).max().unwrap();
    let full: Vec<Span> =
        arrived.iter().filter(|(n, _)| (30_000..39_000).contains(n)).map(|(_, delay)| *delay).collect();
    assert!(calm < Span::from_millis(60), "{calm:?}");
    assert!(full.iter().all(|delay| *delay > Span::from_millis(220)), "{:?}", full.iter().min());
    assert!(full.len() < 8_700, "a full queue drops about one packet in eleven, {} passed", full.len());
}

#[test]
fn a_rate_alone_spaces_packets_out() {
    let bottleneck = Bottleneck { rate: 400.0, queue_bytes: 1_500, load: None };
    let config = LinkConfig { bottleneck: Some(bottleneck), ..LinkConfig::default() };
    let arrived = delays(&config, 8, 10_000);
    assert!(arrived.len().abs_diff(5_000) < 50, "half of 800 kbit/s passes 400, not {}", arrived.len());
    assert!(arrived.iter().all(|(_, delay)| *delay <= Span::from_millis(31)));
}

#[test]
fn every_scenario_reads_under_its_name_and_an_unknown_one_lists_them() {
    for name in Scenario::names() {
        let scenario = Scenario::built_in(name).unwrap();
        assert_eq!(scenario.name, name);
        let again = Scenario::from_toml(&toml::to_string(&scenario).unwrap()).unwrap();
        assert_eq!(again, scenario);
    }
    let refused = Scenario::built_in("moon").unwrap_err().to_string();
    assert!(refused.contains("moon") && refused.contains("wan150"), "{refused}");
}

#[test]
fn what_a_scenario_file_must_not_say_is_refused_by_line_and_range() {
    let head = "name = \"x\"\nabout = \"y\"\n\n[path.a_to_b]\n";
    for (text, wanted) in [
        ("delay_ms = -1\n", ["line 5", "0 to 10000 ms"]),
        ("delay_ms = nan\n", ["line 5", "0 to 10000 ms"]),
        ("delay_ms = 3\ndelya_ms = 4\n", ["line 6", "delya_ms"]),
        ("duplicates = 1.5\n", ["line 5", "0 to 1 as a share"]),
        ("\njitter.exponential = { mean_ms = -2 }\n", ["line 6", "0 to 10000 ms"]),
        ("jitter.gamma = { mean_ms = 2 }\n", ["line 5", "gamma"]),
        ("loss.random = { share = 2 }\n", ["line 5", "0 to 1"]),
        ("outages = [{ from_s = 1, for_s = -3 }]\n", ["line 5", "0 to 100000 s"]),
        ("bottleneck = { kbit_per_s = 0, queue_bytes = 5000 }\n", ["line 5", "1 to 10000000 kbit/s"]),
    ] {
        let refused = Scenario::from_toml(&format!("{head}{text}")).unwrap_err().to_string();
        for part in wanted {
            assert!(refused.contains(part), "{text:?} is refused without {part:?}: {refused}");
        }
    }
}

proptest! {
    #[test]
    fn a_link_repeats_itself_and_keeps_the_order_it_promises(
        seed in any::<u64>(), mean in 0i64..50, loss in 0.0..0.5, duplicates in 0.0..0.5, keeps_order in any::<bool>(),
    ) {
        let config = LinkConfig {
            jitter: Jitter::Exponential(Exponential { mean: Span::from_millis(mean) }),
            loss: Loss::Random(RandomLoss { share: loss }),
            duplicates,
            keeps_order,
            ..LinkConfig::default()
        };
        let arrived = delays(&config, seed, 300);
        prop_assert_eq!(&arrived, &delays(&config, seed, 300));
        prop_assert!(arrived.iter().all(|(number, delay)| *number < 300 && *delay >= Span::ZERO));
        if keeps_order {
            prop_assert!(arrived.is_sorted_by_key(|(number, _)| *number));
        }
    }
}
