// Opens a page of a role as somebody who may have to sign in on the way. Used by the other scripts.
'use strict';

module.exports = async ({ page, keyboard, given }, url) => {
  const response = await page.goto(url);
  // The way leads over pages that go on by themselves.
  await page.waitForURL((now) => now.pathname === '/login' || now.href === url);
  if (page.url() === url) return response;
  await keyboard.fill('User', given.user);
  await keyboard.fill('Password', given.password);
  await keyboard.reach('Sign in');
  await page.keyboard.press('Enter');
  await page.waitForURL(url);
  await page.waitForLoadState();
  return null;
};
