// The keys of CMCD events (CTA-5004-B) that Fairway reads, or that tell what it
// leaves out.
export const cmcdKeys = ['bl', 'br', 'bs', 'bsa', 'bsd', 'bsda', 'cid', 'd', 'e', 'ec', 'ltc', 'msd', 'mtp', 'ot', 'pt',
  'rc', 'sf', 'sid', 'sn', 'st', 'sta', 'su', 'ts', 'ttfb', 'ttlb', 'url', 'v']
