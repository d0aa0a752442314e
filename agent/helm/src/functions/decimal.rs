//! Exact decimals, through which sprig computes with floats.

/// Digits after which a quotient is rounded.
const PRECISION: u32 = 16;

/// A number as digits and a power of ten; the digits are in base 10^9, lowest first.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    negative: bool,
    digits: Big,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads back as this float.
    pub(super) fn of(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            let shown = crate::fmt::shortest(value);
            return Err(format!("Cannot create a Decimal from {shown}"));
        }
        let text = format!("{:e}", value.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let places = i32::try_from(fraction.len()).unwrap_or(0);
        Ok(Self {
            negative: value < 0.0,
            digits: Big::parse(&format!("{whole}{fraction}")),
            exponent: exponent - places,
        })
    }

    pub(super) fn to_float(&self) -> f64 {
        // There is no negative zero among decimals.
        let sign = if self.negative && !self.digits.is_zero() {
            "-"
        } else {
            ""
        };
        let text = format!("{sign}{}e{}", self.digits.to_text(), self.exponent);
        text.parse().unwrap_or(0.0)
    }

    /// Both with the same power of ten.
    fn aligned(&self, other: &Self) -> (Big, Big, i32) {
        let exponent = self.exponent.min(other.exponent);
        let scale = |value: &Self| value.digits.scaled(value.exponent.abs_diff(exponent));
        (scale(self), scale(other), exponent)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let (one, two, exponent) = self.aligned(other);
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, one.add(&two))
        } else if one.at_least(&two) {
            (self.negative, one.sub(&two))
        } else {
            (other.negative, two.sub(&one))
        };
        Self {
            negative: negative && !digits.is_zero(),
            digits,
            exponent,
        }
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        let mut other = other.clone();
        other.negative = !other.negative;
        self.add(&other)
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        Self {
            negative: self.negative != other.negative,
            digits: self.digits.mul(&other.digits),
            exponent: self.exponent + other.exponent,
        }
    }

    /// Rounded to sixteen places, half away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, String> {
        if other.digits.is_zero() {
            return Err("decimal division by 0".to_owned());
        }
        let places = i32::try_from(PRECISION).unwrap_or(16);
        let shift = self.exponent - other.exponent + places;
        let (top, bottom) = if shift >= 0 {
            (
                self.digits.scaled(shift.unsigned_abs()),
                other.digits.clone(),
            )
        } else {
            (
                self.digits.clone(),
                other.digits.scaled(shift.unsigned_abs()),
            )
        };
        Ok(Self {
            negative: self.negative != other.negative,
            digits: top.div_rounded(&bottom),
            exponent: -places,
        })
    }
}

const BASE: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
struct Big(Vec<u32>);

impl Big {
    fn parse(text: &str) -> Self {
        let mut limbs = Vec::new();
        let bytes = text.as_bytes();
        let mut end = bytes.len();
        while end > 0 {
            let start = end.saturating_sub(9);
            limbs.push(text[start..end].parse().unwrap_or(0));
            end = start;
        }
        Self(limbs).trimmed()
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn to_text(&self) -> String {
        let Some((last, rest)) = self.0.split_last() else {
            return "0".to_owned();
        };
        let mut text = last.to_string();
        for limb in rest.iter().rev() {
            text.push_str(&format!("{limb:09}"));
        }
        text
    }

    /// Times ten to this power.
    fn scaled(&self, power: u32) -> Self {
        if self.is_zero() {
            return self.clone();
        }
        let mut limbs = vec![0; power as usize / 9];
        limbs.extend_from_slice(&self.0);
        Self(limbs).times(10_u32.pow(power % 9))
    }

    fn times(&self, factor: u32) -> Self {
        let mut carry = 0;
        let mut limbs: Vec<u32> = Vec::with_capacity(self.0.len() + 1);
        for limb in &self.0 {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            limbs.push(low(product));
            carry = product / BASE;
        }
        limbs.push(low(carry));
        Self(limbs).trimmed()
    }

    fn add(&self, other: &Self) -> Self {
        let mut limbs = Vec::new();
        let mut carry = 0;
        for index in 0..self.0.len().max(other.0.len()) {
            let sum = self.limb(index) + other.limb(index) + carry;
            limbs.push(low(sum));
            carry = sum / BASE;
        }
        limbs.push(low(carry));
        Self(limbs).trimmed()
    }

    fn limb(&self, index: usize) -> u64 {
        self.0.get(index).copied().map_or(0, u64::from)
    }

    fn at_least(&self, other: &Self) -> bool {
        if self.0.len() != other.0.len() {
            return self.0.len() > other.0.len();
        }
        self.0.iter().rev().ge(other.0.iter().rev())
    }

    /// Of a number that is not smaller.
    fn sub(&self, other: &Self) -> Self {
        let mut limbs = Vec::with_capacity(self.0.len());
        let mut borrow = 0;
        for index in 0..self.0.len() {
            let taken = other.limb(index) + borrow;
            let limb = self.limb(index);
            borrow = u64::from(limb < taken);
            limbs.push(low(limb + borrow * BASE - taken));
        }
        Self(limbs).trimmed()
    }

    fn mul(&self, other: &Self) -> Self {
        let mut result = Self(Vec::new());
        for (index, limb) in other.0.iter().enumerate() {
            let mut shifted = vec![0; index];
            shifted.extend_from_slice(&self.times(*limb).0);
            result = result.add(&Self(shifted).trimmed());
        }
        result
    }

    /// The quotient, half rounded up.
    fn div_rounded(&self, divisor: &Self) -> Self {
        let mut quotient = vec![0; self.0.len()];
        let mut rest = Self(Vec::new());
        for index in (0..self.0.len()).rev() {
            rest.0.insert(0, self.0[index]);
            rest = rest.trimmed();
            // Binary search for the largest digit whose product still fits.
            let (mut least, mut most) = (0_u32, 999_999_999_u32);
            while least < most {
                let middle = least + (most - least).div_ceil(2);
                if rest.at_least(&divisor.times(middle)) {
                    least = middle;
                } else {
                    most = middle - 1;
                }
            }
            quotient[index] = least;
            rest = rest.sub(&divisor.times(least));
        }
        let quotient = Self(quotient).trimmed();
        if rest.times(2).at_least(divisor) {
            quotient.add(&Self(vec![1]))
        } else {
            quotient
        }
    }
}

fn low(value: u64) -> u32 {
    u32::try_from(value % BASE).unwrap_or(0)
}
