// Makes the first administrator, signs out and in again.
'use strict';

module.exports = async ({ page, keyboard, given }) => {
  const { base, token, user, password } = given;
  await page.goto(`${base}/login`);
  await keyboard.press('Set it up');
  await keyboard.fill('Set-up token', token);
  await keyboard.fill('User', user);
  await keyboard.fill('Password', password);
  await keyboard.fill('Password, again', password);
  await keyboard.press('Become the administrator');
  const first = await page.textContent('main');
  await keyboard.press('Sign out');
  const signedOut = page.url();
  await page.goto(`${base}/password`);
  const asked = page.url();
  await keyboard.fill('User', user);
  await keyboard.fill('Password', password);
  await keyboard.press('Sign in');
  return { first, signedOut, asked, after: page.url() };
};
