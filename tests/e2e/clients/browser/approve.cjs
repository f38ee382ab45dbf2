// Opens the link of somebody who waits for a sign-in, and approves. Whoever is not signed in does that first; a code that is given
// is typed in.
'use strict';

module.exports = async ({ page, keyboard, given }) => {
  const { link, user, password, code } = given;
  await page.goto(link);
  if (new URL(page.url()).pathname === '/login') {
    await keyboard.fill('User', user);
    await keyboard.fill('Password', password);
    await keyboard.press('Sign in');
  }
  if (code) {
    await keyboard.fill('Code on the device', code);
    await keyboard.press('Go on');
  }
  const asked = await page.textContent('main');
  await keyboard.press('Approve');
  return { asked, done: page.url() };
};
