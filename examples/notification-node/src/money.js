// Amounts of money for human eyes.

// ISO 4217: the currencies whose minor unit is not a hundredth.
const EXPONENTS = new Map([
  ...words('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF', 0),
  ...words('BHD IQD JOD KWD LYD OMR TND', 3),
  ...words('CLF UYW', 4),
]);

/** An amount in minor units, a BigInt, such as "1,234.50 EUR" for 123450n. */
export function formatMoney(minor, currency) {
  const exponent = EXPONENTS.get(currency) ?? 2;
  const digits = `${minor < 0n ? -minor : minor}`.padStart(exponent + 1, '0');
  const units = digits.slice(0, digits.length - exponent).replace(/\B(?=(\d{3})+$)/g, ',');
  const fraction = exponent ? `.${digits.slice(-exponent)}` : '';
  return `${minor < 0n ? '-' : ''}${units}${fraction} ${currency}`;
}

function words(text, exponent) {
  return text.split(' ').map((word) => [word, exponent]);
}
