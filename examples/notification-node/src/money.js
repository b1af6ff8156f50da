// Amounts of money and dates for human eyes, as a locale writes them (Unicode CLDR).

// ISO 4217: the currencies whose minor unit is not a hundredth.
const EXPONENTS = new Map([
  ...words('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF', 0),
  ...words('BHD IQD JOD KWD LYD OMR TND', 3),
  ...words('CLF UYW', 4),
]);

const CODE = /^[A-Z]{3}$/;

/** An amount in minor units, a BigInt, such as "€1,234.50" for 123450n in English. */
export function formatMoney(minor, currency, locale) {
  const exponent = EXPONENTS.get(currency) ?? 2;
  const digits = `${minor < 0n ? -minor : minor}`.padStart(exponent + 1, '0');
  const units = digits.slice(0, digits.length - exponent);
  const fraction = exponent ? `.${digits.slice(-exponent)}` : '';
  const sign = minor < 0n ? '-' : '';
  if (!CODE.test(currency)) return `${sign}${units.replace(/\B(?=(\d{3})+$)/g, ',')}${fraction} ${currency}`;
  const format = new Intl.NumberFormat(locale, {
    style: 'currency',
    currency,
    minimumFractionDigits: exponent,
    maximumFractionDigits: exponent,
    numberingSystem: 'latn',
  });
  return format.format(`${sign}${units}${fraction}`).replace('\u200e-', '-');
}

/** The day of a moment, in milliseconds, such as "15 janvier 2027". */
export function formatDate(moment, locale) {
  const options = { dateStyle: 'long', timeZone: 'UTC', numberingSystem: 'latn', calendar: 'gregory' };
  return new Intl.DateTimeFormat(locale, options).format(new Date(moment));
}

function words(text, exponent) {
  return text.split(' ').map((word) => [word, exponent]);
}
