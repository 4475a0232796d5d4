use crate::{beside, explore};
use auriga_signals::Board;
use std::sync::Arc;

/// A core shows counts that grow, while they are read for a scrape: no count ever goes back, which would be taken for a restart.
#[test]
fn a_count_on_a_board_never_goes_back() {
    explore(|| {
        let board = Arc::new(Board::new(2));
        let core = {
            let board = board.clone();
            move || (1..=2).for_each(|turn| board.show(&[turn, turn * 10]))
        };
        beside(core, || {
            let look = || {
                let mut read = [0; 2];
                board.read(&mut read);
                read
            };
            let (first, second) = (look(), look());
            assert!(
                first.iter().zip(second).all(|(first, second)| *first <= second),
                "{first:?}, then {second:?}"
            );
        });
        let mut read = [0; 2];
        board.read(&mut read);
        assert_eq!(read, [2, 20]);
    });
}
