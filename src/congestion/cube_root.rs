//! The cube root of a whole number, by Newton's method on integers: the same on every machine.

/// The largest number whose cube is at most `n`.
pub(super) fn cube_root(n: u128) -> u128 {
    if n == 0 {
        return 0;
    }
    // A power of two above the root: from there each step falls, until the root is reached.
    let bits = u128::BITS - n.leading_zeros();
    let mut root = 1_u128 << bits.div_ceil(3);
    loop {
        let next = (2 * root + n / (root * root)) / 3;
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_root(root: u128, n: u128) -> bool {
        let cube = |x: u128| x.checked_mul(x).and_then(|square| square.checked_mul(x));
        cube(root).is_some_and(|cube| cube <= n) && cube(root + 1).is_none_or(|cube| cube > n)
    }

    #[test]
    fn the_first_hundred_thousand_roots_are_exact() {
        for n in 0..100_000 {
            assert!(is_root(cube_root(n), n), "root of {n}");
        }
    }

    #[test]
    fn the_roots_around_every_cube_of_a_power_of_two_are_exact() {
        for power in 0..42 {
            let cube = 1_u128 << (3 * power);
            for n in [cube - 1, cube, cube + 1] {
                assert!(is_root(cube_root(n), n), "root of {n}");
            }
        }
        assert!(is_root(cube_root(u128::MAX), u128::MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_root_is_exact(n: u128, shift in 0_u32..128) {
            prop_assert!(is_root(cube_root(n >> shift), n >> shift));
        }
    }
}
