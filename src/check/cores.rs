//! The shards' CPUs: how fast they are let run, and whose interrupts they take.

use super::{Finding, Level, Root};
use std::collections::{BTreeMap, BTreeSet};

pub fn look(root: &Root, shards: &[u32]) -> Vec<Finding> {
    if shards.is_empty() {
        return Vec::new();
    }
    vec![
        governor(root, shards),
        interrupts(root, shards, "NIC interrupts", "net"),
        interrupts(root, shards, "NVMe interrupts", "nvme"),
    ]
}

/// 0-3,8
pub fn list(cpus: &[u32]) -> String {
    let cpus: BTreeSet<u32> = cpus.iter().copied().collect();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let shown = ranges
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    shown.collect::<Vec<_>>().join(",")
}

/// The CPUs of a list as the kernel writes it; what is no number is left out.
pub fn cpus(list: &str) -> BTreeSet<u32> {
    let parts = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    });
    parts.flatten().collect()
}

pub fn governor(root: &Root, shards: &[u32]) -> Finding {
    let (name, need) = ("CPU frequency", "governor performance on the shards' CPUs");
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for cpu in shards {
        if let Some(governor) =
            root.line(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
        {
            found.entry(governor).or_default().push(*cpu);
        }
    }
    let shown: Vec<_> =
        found.iter().map(|(governor, cpus)| format!("{governor} on CPUs {}", list(cpus))).collect();
    if found.is_empty() {
        return Finding::note(
            name,
            "not set on this machine: a virtual machine's host, or the firmware, decides",
            need,
        );
    }
    if found.keys().all(|governor| governor == "performance") {
        return Finding::good(name, shown.join(", "), need);
    }
    let fix = "cpupower frequency-set -g performance (apt-get install linux-cpupower); it lasts until the next boot";
    Finding::bad(Level::Warning, name, shown.join(", "), need, fix)
}

/// Interrupts of the devices of a class, against the shards' CPUs.
pub fn interrupts(root: &Root, shards: &[u32], name: &'static str, class: &str) -> Finding {
    let need = "on CPUs without shards";
    let devices = root.names(&format!("sys/class/{class}"));
    // A virtio device's interrupts are those of the PCI device that it is in.
    let of_device = |device: &String| {
        let of = |above: &str| root.names(&format!("sys/class/{class}/{device}/device{above}/msi_irqs"));
        let own = of("");
        if own.is_empty() { of("/..") } else { own }
    };
    let mut numbers: Vec<u32> =
        devices.iter().flat_map(of_device).filter_map(|number| number.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() {
        return Finding::note(name, "no such device has interrupts of its own here", need);
    }
    let affinity = |number: &u32| {
        let effective =
            root.line(&format!("proc/irq/{number}/effective_affinity_list")).filter(|line| !line.is_empty());
        effective.or_else(|| root.line(&format!("proc/irq/{number}/smp_affinity_list")))
    };
    let known: Vec<(u32, BTreeSet<u32>)> =
        numbers.iter().filter_map(|number| Some((*number, cpus(&affinity(number)?)))).collect();
    if known.is_empty() {
        return Finding::unknown(name, "/proc/irq can't be read", need);
    }
    let on_shards: Vec<u32> = known
        .iter()
        .filter(|(_, cpus)| cpus.iter().any(|cpu| shards.contains(cpu)))
        .map(|(number, _)| *number)
        .collect();
    if on_shards.is_empty() {
        return Finding::good(name, format!("{} interrupts, none on a shard's CPU", known.len()), need);
    }
    let found = format!(
        "{} of {} interrupts are on shards' CPUs: {}",
        on_shards.len(),
        known.len(),
        list(&on_shards)
    );
    let online = root.line("sys/devices/system/cpu/online").map(|line| cpus(&line)).unwrap_or_default();
    let free: Vec<u32> = online.into_iter().filter(|cpu| !shards.contains(cpu)).collect();
    if free.is_empty() {
        return Finding::note(name, format!("{found}; every CPU runs a shard"), need);
    }
    let numbers: Vec<String> = on_shards.iter().map(u32::to_string).collect();
    let fix = format!(
        "for i in {}; do echo {} > /proc/irq/$i/smp_affinity_list; done\n\
         keep irqbalance from moving them back: IRQBALANCE_BANNED_CPULIST={} in /etc/default/irqbalance; what the kernel refuses to move it \
         manages itself",
        numbers.join(" "),
        list(&free),
        list(shards)
    );
    Finding::bad(Level::Warning, name, found, need, fix)
}
