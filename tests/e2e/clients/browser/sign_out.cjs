// Signs whoever is signed in out.
'use strict';

module.exports = async ({ page, context, keyboard, given }) => {
  await page.goto(given.base);
  const home = await page.textContent('main');
  await keyboard.press('Sign out');
  const cookies = await context.cookies();
  return { home, done: page.url(), cookies: cookies.length };
};
