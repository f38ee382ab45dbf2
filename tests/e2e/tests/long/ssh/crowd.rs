//! Many at once.

use std::time::Duration;

use hoop_testkit::until;

use super::{PLAIN, stand};

#[test]
fn two_hundred_sessions_run_at_once() {
    let stand = stand();
    let folder = stand.client.folder.join("crowd");
    std::fs::create_dir(&folder).expect("an own folder");
    // Each waits for all the others.
    let wait =
        format!("while [ -d {0} ] && [ $(ls {0} | wc -l) -lt 200 ]; do sleep 0.5; done; echo done", folder.display());
    std::thread::scope(|scope| {
        for number in 0..200 {
            let (folder, wait) = (&folder, &wait);
            scope.spawn(move || {
                // They come in quick succession, and not in one moment: a machine with two cores would answer none in time.
                let came = || std::fs::read_dir(folder).expect("an own folder").count();
                until(Duration::from_secs(110), "those before it", || (came() + 24 > number).then_some(()));
                let run = stand.client.run(PLAIN, &format!("touch {}/{number}; {wait}", folder.display()));
                assert_eq!(run.ok(), "done\n");
            });
        }
    });
}
