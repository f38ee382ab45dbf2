// Looks at a page that may be kept, signs out, and tries to see it again.
'use strict';

const enter = require('./enter.cjs');

module.exports = async (browser) => {
  const { page, context, given } = browser;
  const cached = `${given.origin}/cached`;
  await enter(browser, `${given.origin}/app/mine`);
  const response = await page.goto(cached);
  const told = { before: await page.textContent('p'), private: response.headers()['cache-control'] };
  await Promise.all([page.waitForNavigation(), page.evaluate(() => { location.href = '/.hoop/leave'; })]);
  await page.waitForLoadState();
  // Whoever is still signed in at the gateway would be let in again.
  await context.clearCookies();
  await page.goBack().catch(() => {});
  told.back = (await page.textContent('body')).includes('for one');
  await page.goto(cached).catch(() => {});
  await page.waitForURL((now) => now.pathname === '/login');
  told.again = !(await page.textContent('body')).includes('for one');
  return told;
};
