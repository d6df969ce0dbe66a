import { inPackage } from "./packages.mjs";

export const wranglerScript = inPackage("wrangler", "bin", "wrangler.js");

/** No reports to its makers, and no download of a sample of `request.cf`. */
export const quietly = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

/** For runs that nobody watches: no questions either, as on a CI machine. */
export const unattended = {
  ...quietly,
  CI: "true",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
};
