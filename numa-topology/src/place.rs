//! Puts the calling thread and its memory where a topology says, and asks the kernel where pages are.
//!
//! Called by each shard's thread once at start, before it allocates, and by whoever checks it afterwards;
//! never while transfers run. Keeps no state.

use std::fmt;
use std::io;

use core_affinity::CoreId;
use serde::Serialize;

use crate::error::Error;
use crate::kernel;

/// Highest number of CPUs and nodes that this crate places on: glibc's `cpu_set_t` and the largest
/// `CONFIG_NODES_SHIFT` of Linux have this many bits.
const IDS_MAX: u32 = 1024;

/// Pages the kernel is asked about in one call: bounds the memory that the question takes to 48 KiB.
const PAGES_PER_CALL: usize = 4096;

/// Why the kernel does not place memory, or does not tell where it is. Neither is a fault on a host with
/// one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unavailable {
    /// The kernel is built without NUMA support (ENOSYS).
    NotInKernel,
    /// The call is refused (EPERM), which containers do by default.
    NotPermitted,
}

/// What became of a request to bind memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryBinding {
    /// The thread allocates on the node only.
    Bound,
    /// Nothing was bound; the kernel places pages as it does by default: on the node of the CPU that
    /// touches them first.
    FirstTouch(Unavailable),
}

/// Where the pages of a stretch of memory are. `on_node + elsewhere + untouched = pages`, unless the kernel
/// does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PageReport {
    /// The node asked about.
    pub node: u32,
    /// Pages that the stretch covers, wholly or in part.
    pub pages: usize,
    /// Pages on that node.
    pub on_node: usize,
    /// Pages on other nodes.
    pub elsewhere: usize,
    /// Pages without memory of their own yet: not written to, or not mapped.
    pub untouched: usize,
    /// Set if the kernel does not tell; the three counts are then 0.
    pub unavailable: Option<Unavailable>,
}

/// CPUs the calling thread may run on: its affinity mask, which the kernel keeps within the cgroup
/// cpuset. Ascending.
///
/// # Errors
///
/// [`Error::Kernel`] if the mask cannot be read (more than 1,024 CPUs).
pub fn allowed_cpus() -> Result<Vec<u32>, Error> {
    let ids = core_affinity::get_core_ids().ok_or_else(|| Error::Kernel {
        asked: "read the affinity mask of this thread".to_owned(),
        source: io::Error::last_os_error(),
        fix: "hosts with more than 1,024 CPUs are not supported",
    })?;
    Ok(ids.into_iter().filter_map(|core| u32::try_from(core.id).ok()).collect())
}

/// Pins the calling thread to one CPU. Threads that it starts later inherit that.
///
/// # Errors
///
/// [`Error::Kernel`] if the CPU is absent, offline or outside the cgroup cpuset.
pub fn bind_thread_to_cpu(cpu: u32) -> Result<(), Error> {
    let bound = cpu < IDS_MAX && core_affinity::set_for_current(CoreId { id: cpu as usize });
    if bound {
        return Ok(());
    }
    // A failed sched_setaffinity is the last system call made.
    let source =
        if cpu < IDS_MAX { io::Error::last_os_error() } else { io::Error::from_raw_os_error(libc::EINVAL) };
    Err(Error::Kernel {
        asked: format!("pin this thread to cpu {cpu}"),
        source,
        fix: "the CPU is absent, offline or outside the cgroup cpuset: compare with `auriga topology check`",
    })
}

/// Binds what the calling thread allocates from now on to one NUMA node. Pages that exist stay where they
/// are. Threads that it starts later inherit that. When the node is full, allocation fails rather than
/// spill to another.
///
/// A kernel without NUMA support, or a container that forbids the call, is not an error: the answer says so.
///
/// # Errors
///
/// [`Error::Kernel`] if the node is absent, has no memory or is outside the cgroup cpuset.
pub fn bind_memory_to_node(node: u32) -> Result<MemoryBinding, Error> {
    let result = if node < IDS_MAX {
        kernel::set_mempolicy_bind(node)
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    };
    match result {
        Ok(()) => Ok(MemoryBinding::Bound),
        Err(source) => match Unavailable::from_errno(&source) {
            Some(why) => Ok(MemoryBinding::FirstTouch(why)),
            None => Err(Error::Kernel {
                asked: format!("bind this thread's memory to node {node}"),
                source,
                fix: "the node is absent, has no memory or is outside the cgroup cpuset: compare with \
                      `auriga topology check`",
            }),
        },
    }
}

/// Asks the kernel on which nodes the pages of `len` bytes from `addr` are. The memory is not read and no
/// page moves.
///
/// # Errors
///
/// [`Error::Kernel`] if the kernel refuses for another reason than those of [`Unavailable`].
pub fn pages_on_node(addr: *const u8, len: usize, node: u32) -> Result<PageReport, Error> {
    let page_bytes = kernel::page_bytes();
    let first = addr.map_addr(|address| address & !(page_bytes - 1));
    let pages = if len == 0 { 0 } else { (addr.addr() - first.addr() + len).div_ceil(page_bytes) };
    let mut report = PageReport { node, pages, on_node: 0, elsewhere: 0, untouched: 0, unavailable: None };

    let failed = |source: io::Error| Error::Kernel {
        asked: format!("find the nodes of {pages} pages at {addr:p}"),
        source,
        fix: "see move_pages(2)",
    };
    let mut chunk = Vec::with_capacity(pages.min(PAGES_PER_CALL));
    for start in (0..pages).step_by(PAGES_PER_CALL) {
        let end = pages.min(start + PAGES_PER_CALL);
        chunk.clear();
        chunk.extend((start..end).map(|page| first.wrapping_add(page * page_bytes)));
        match kernel::nodes_of_pages(&chunk) {
            Ok(statuses) => report.count(&statuses).map_err(failed)?,
            Err(source) => {
                let why = Unavailable::from_errno(&source).ok_or_else(|| failed(source))?;
                return Ok(PageReport {
                    on_node: 0,
                    elsewhere: 0,
                    untouched: 0,
                    unavailable: Some(why),
                    ..report
                });
            }
        }
    }
    Ok(report)
}

impl Unavailable {
    fn from_errno(error: &io::Error) -> Option<Unavailable> {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Some(Unavailable::NotInKernel),
            Some(libc::EPERM) => Some(Unavailable::NotPermitted),
            _ => None,
        }
    }
}

impl PageReport {
    /// Adds what move_pages said of some pages: a node, or a negative errno. ENOENT is a page that was never
    /// touched, EFAULT one that was only read (it shares the kernel's page of zeros) or is not mapped.
    fn count(&mut self, statuses: &[i32]) -> io::Result<()> {
        for &status in statuses {
            match u32::try_from(status) {
                Ok(node) if node == self.node => self.on_node += 1,
                Ok(_) => self.elsewhere += 1,
                Err(_) if status == -libc::ENOENT || status == -libc::EFAULT => self.untouched += 1,
                Err(_) => return Err(io::Error::from_raw_os_error(-status)),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unavailable::NotInKernel => "the kernel has no NUMA support",
            Unavailable::NotPermitted => {
                "the call is not permitted (containers need CAP_SYS_NICE or a wider seccomp profile)"
            }
        })
    }
}

impl fmt::Display for MemoryBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryBinding::Bound => f.write_str("bound"),
            MemoryBinding::FirstTouch(why) => write!(f, "not bound, placed by first touch: {why}"),
        }
    }
}

impl fmt::Display for PageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageReport { node, pages, on_node, elsewhere, untouched, unavailable } = self;
        match unavailable {
            Some(why) => write!(f, "{pages} pages, nodes unknown: {why}"),
            None => write!(
                f,
                "{pages} pages: {on_node} on node {node}, {elsewhere} elsewhere, {untouched} untouched"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::discover::discover;

    /// Runs in a thread of its own, so that no other test inherits a binding.
    fn in_thread(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_bound_thread_may_run_on_its_cpu_only() {
        in_thread(|| {
            let cpu = *allowed_cpus().unwrap().last().unwrap();
            bind_thread_to_cpu(cpu).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [cpu]);
        });
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused_by_number() {
        in_thread(|| {
            for cpu in [IDS_MAX - 1, IDS_MAX, u32::MAX] {
                let error = bind_thread_to_cpu(cpu).unwrap_err().to_string();
                assert!(
                    error.starts_with(&format!("cannot pin this thread to cpu {cpu}: Invalid argument")),
                    "{error}"
                );
            }
        });
    }

    #[test]
    fn a_node_that_is_not_there_is_refused_by_number() {
        in_thread(|| {
            if bind_memory_to_node(0).unwrap() != MemoryBinding::Bound {
                return;
            }
            for node in [63, 64, IDS_MAX - 1, IDS_MAX, u32::MAX] {
                let error = bind_memory_to_node(node).unwrap_err().to_string();
                assert!(error.contains(&format!("memory to node {node}: Invalid argument")), "{error}");
            }
        });
    }

    #[test]
    fn touched_pages_are_on_the_node_of_the_binding() {
        in_thread(|| {
            let machine = discover().unwrap();
            let cpu = machine.allowed().next().unwrap();
            let node = machine.memory_node(cpu).unwrap();
            bind_thread_to_cpu(cpu.id).unwrap();
            let binding = bind_memory_to_node(node).unwrap();

            let page = kernel::page_bytes();
            // More than one call's worth, so large that the allocator maps it afresh.
            let pages = PAGES_PER_CALL + 10;
            let mut memory: Vec<u8> = Vec::with_capacity((pages + 1) * page);
            let spare = memory.spare_capacity_mut();
            let start = spare.as_ptr().align_offset(page);
            for touched in 0..pages / 2 {
                spare[start + touched * page].write(1);
            }
            let report = pages_on_node(spare[start..].as_ptr().cast(), pages * page, node).unwrap();
            assert_eq!(report.pages, pages);
            if report.unavailable.is_some() {
                assert_eq!((report.on_node, report.elsewhere, report.untouched), (0, 0, 0));
                return;
            }
            assert_eq!(report.on_node + report.elsewhere + report.untouched, pages, "{report}");
            assert!(report.on_node >= pages / 2, "{report}");
            if binding == MemoryBinding::Bound {
                assert_eq!(report.elsewhere, 0, "{report}");
            }

            let other = pages_on_node(spare[start..].as_ptr().cast(), pages * page, node + 1).unwrap();
            assert_eq!(
                (other.on_node, other.elsewhere),
                (0, report.on_node),
                "the same pages, seen from another node"
            );
        });
    }

    #[test]
    fn parts_of_pages_count_as_pages() {
        let page = kernel::page_bytes();
        let base = std::ptr::without_provenance::<u8>(page * 16);
        for (offset, len, pages) in
            [(0, 0, 0), (5, 0, 0), (0, 1, 1), (0, page, 1), (1, page, 2), (page - 1, 2, 2), (page - 1, 1, 1)]
        {
            let report = pages_on_node(base.wrapping_add(offset), len, 0).unwrap();
            assert_eq!(report.pages, pages, "{len} bytes from {offset}");
            if report.unavailable.is_none() {
                assert_eq!(report.untouched, pages, "nothing is mapped there");
            }
        }
    }

    #[test]
    fn kernels_without_numa_and_containers_are_told_apart_from_faults() {
        let why = |errno| Unavailable::from_errno(&io::Error::from_raw_os_error(errno));
        assert_eq!(why(libc::ENOSYS), Some(Unavailable::NotInKernel));
        assert_eq!(why(libc::EPERM), Some(Unavailable::NotPermitted));
        assert_eq!(why(libc::EINVAL), None);

        let mut report =
            PageReport { node: 1, pages: 5, on_node: 0, elsewhere: 0, untouched: 0, unavailable: None };
        report.count(&[1, 0, 1, -libc::ENOENT, -libc::EFAULT]).unwrap();
        assert_eq!(report.to_string(), "5 pages: 2 on node 1, 1 elsewhere, 2 untouched");
        assert_eq!(report.count(&[-libc::EIO]).unwrap_err().raw_os_error(), Some(libc::EIO));
        let unknown = PageReport { unavailable: Some(Unavailable::NotInKernel), ..report };
        assert_eq!(unknown.to_string(), "5 pages, nodes unknown: the kernel has no NUMA support");
    }
}
